"""`python -m longrun_api`: uvicorn with this API's settings; a stop by SIGTERM that went in order exits with 0."""

from __future__ import annotations

import argparse
import signal
import sys

import uvicorn

from jobcore.settings import read
from longrun_api.settings import ApiSettings


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    settings = read(ApiSettings)
    parser = argparse.ArgumentParser(prog="python -m longrun_api", description="Serve Longrun's API.")
    parser.add_argument("--host", default=settings.host, help="the address to listen on (%(default)s)")
    parser.add_argument("--port", default=settings.port, type=int, help="the port to listen on (%(default)s)")
    parser.add_argument("--access-log", action="store_true", help="log every request")
    options = parser.parse_args()
    # once it has shut down in order, uvicorn raises the signal again that it was stopped by
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        "longrun_api.main:app",
        host=options.host,
        port=options.port,
        access_log=options.access_log,
        timeout_graceful_shutdown=settings.shutdown_s,
    )


if __name__ == "__main__":
    main()
