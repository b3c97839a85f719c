"""The command lines of Longrun's processes, the same that docs/operations.md gives to operators."""

from __future__ import annotations

import sys
from typing import Final

WORKER_APP: Final = "longrun_worker.app"
SCRAPER_APP: Final = "longrun_scraper.app"


def migrations() -> list[str]:
    """Bring the database at DATABASE_URL to the current schema."""
    return _python("jobcore.migrations")


def api(host: str, port: int) -> list[str]:
    """One API process."""
    return _python("longrun_api", "--host", host, "--port", str(port), "--access-log")


def worker(app: str, name: str) -> list[str]:
    """One Celery worker of the app; gossip and mingle are off because workers need not know each other."""
    return _python(
        *("celery", "--quiet", "-A", app, "worker", "-n", f"{name}@%h"),
        *("--without-gossip", "--without-mingle", "-l", "info"),
    )


def keeper() -> list[str]:
    """A keeper by itself."""
    return _python("jobcore.keeper")


def _python(module: str, *arguments: str) -> list[str]:
    # -P: a celery.py in the folder where Longrun is started must not be taken for the library.
    return [sys.executable, "-P", "-m", module, *arguments]
