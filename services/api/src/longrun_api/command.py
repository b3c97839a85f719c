"""What `python -m longrun_api` does: uvicorn with this API's settings. An orderly stop by SIGTERM exits with 0."""

from __future__ import annotations

import argparse
import gc
import resource
import signal
import socket
import sys
from functools import partial
from typing import Final

import uvicorn

from jobcore.broker.redis_check import refuse_cluster
from jobcore.settings import read
from jobcore.telemetry import logs
from longrun_api import siblings
from longrun_api.access_log import log_refusal
from longrun_api.auth_modes import refuse_open_none
from longrun_api.connection import BoundedConnection
from longrun_api.connection_bounds import Bounds, BufferedBytes
from longrun_api.security_headers import SECURITY_HEADERS
from longrun_api.server import serve
from longrun_api.settings import MAX_WORKERS, ApiSettings
from longrun_api.siblings import Siblings

OTHER_FILES: Final = 256
"""Open files other than client connections: PostgreSQL, Redis, logs, libraries."""


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    settings = read(ApiSettings)
    parser = argparse.ArgumentParser(prog="python -m longrun_api", description="Serve Longrun's API.")
    parser.add_argument("--host", default=settings.host, help="the address to listen on (%(default)s)")
    parser.add_argument("--port", default=settings.port, type=int, help="the port to listen on (%(default)s)")
    parser.add_argument(
        "--workers",
        default=settings.api_workers,
        type=_count,
        help="the number of processes that handle requests (%(default)s)",
    )
    for internal in ("--listener", "--beat"):  # from the launcher, and from the first of several processes
        parser.add_argument(internal, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    refuse_open_none(settings.auth, options.host)
    refuse_cluster(settings.redis)
    if options.workers > 1:
        gc.enable()
        logs.setup(settings)
        listener = _inherited(options) or _config(settings, options).bind_socket()
        sys.exit(Siblings(siblings.command(options.host, options.port), listener, options.workers).run())
    # after an orderly shutdown, uvicorn raises the signal that stopped it once more
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    inherited = _inherited(options)
    serve(_config(settings, options), None if inherited is None else [inherited])


def _inherited(options: argparse.Namespace) -> socket.socket | None:
    return None if options.listener is None else socket.socket(fileno=options.listener)


def _config(settings: ApiSettings, options: argparse.Namespace) -> uvicorn.Config:
    return uvicorn.Config(
        "longrun_api.main:app",
        host=options.host,
        port=options.port,
        callback_notify=None if options.beat is None else partial(siblings.beat, options.beat),
        timeout_notify=0,
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


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= MAX_WORKERS:
        raise argparse.ArgumentTypeError(f"must be 1 to {MAX_WORKERS}, not {count}")
    return count


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
