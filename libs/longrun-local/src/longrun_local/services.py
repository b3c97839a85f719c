"""Command lines of Longrun's processes, as in docs/operations.md."""

from __future__ import annotations

import sys
from typing import Final

WORKER_APP: Final = "longrun_worker.app"
SCRAPER_APP: Final = "longrun_scraper.app"
SCRAPER_QUEUE: Final = "scrape"


def migrations() -> list[str]:
    """Migrate the database at DATABASE_URL to the current schema."""
    return _python("jobcore.migrations")


def api(host: str, port: int, listener: int | None = None) -> list[str]:
    """An API process; it inherits the descriptor `listener`, on which it listens, if it gets one."""
    inherited = () if listener is None else ("--listener", str(listener))
    return _python("longrun_api", "--host", host, "--port", str(port), *inherited)


def worker(app: str, name: str) -> list[str]:
    """A Celery worker of the app, without gossip and mingle, because workers need not know each other."""
    return _python(
        *("celery", "--quiet", "-A", app, "worker", "-n", f"{name}@%h"),
        *("--without-gossip", "--without-mingle", "-l", "info"),
    )


def task_modules() -> list[str]:
    """Import the modules of task types and print what they define as JSON."""
    return _python("longrun_local.task_modules")


def keeper() -> list[str]:
    """A keeper as a process of its own."""
    return _python("jobcore.keeper")


def _python(module: str, *arguments: str) -> list[str]:
    # -P: do not import a celery.py in the current directory instead of the library.
    return [sys.executable, "-P", "-m", module, *arguments]
