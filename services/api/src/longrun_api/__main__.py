"""`python -m longrun_api`: uvicorn with this API's settings. An orderly stop by SIGTERM exits with 0."""

from __future__ import annotations

import argparse
import resource
import signal
import sys
from functools import partial
from typing import Final

import uvicorn

from jobcore.broker.redis_check import refuse_cluster
from jobcore.settings import read
from longrun_api.access_log import log_refusal
from longrun_api.connection import BoundedConnection
from longrun_api.connection_bounds import Bounds, BufferedBytes
from longrun_api.security_headers import SECURITY_HEADERS
from longrun_api.server import serve
from longrun_api.settings import ApiSettings

OTHER_FILES: Final = 256
"""Open files other than client connections: PostgreSQL, Redis, logs, libraries."""


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    settings = read(ApiSettings)
    parser = argparse.ArgumentParser(prog="python -m longrun_api", description="Serve Longrun's API.")
    parser.add_argument("--host", default=settings.host, help="the address to listen on (%(default)s)")
    parser.add_argument("--port", default=settings.port, type=int, help="the port to listen on (%(default)s)")
    options = parser.parse_args()
    refuse_cluster(settings.redis)
    # after an orderly shutdown, uvicorn raises the signal that stopped it once more
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    serve(
        uvicorn.Config(
            "longrun_api.main:app",
            host=options.host,
            port=options.port,
            http=partial(  # type: ignore[arg-type]
                BoundedConnection,
                bounds=_bounds(settings),
                buffered=BufferedBytes(),
                log_refusal=log_refusal if settings.access_log else None,
            ),
            ws="none",
            access_log=False,
            server_header=False,
            headers=list(SECURITY_HEADERS.items()),
            timeout_graceful_shutdown=settings.shutdown_s,
        )
    )


def _bounds(settings: ApiSettings) -> Bounds:
    return Bounds(
        request_s=settings.request_timeout_s,
        buffered_bytes=settings.buffered_bytes,
        connections=_allow_open_files(settings.max_connections),
    )


def _allow_open_files(connections: int) -> int:
    """Raise the process's limit of open files for this many connections; return how many the limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    return max(granted - OTHER_FILES, 1)


if __name__ == "__main__":
    main()
