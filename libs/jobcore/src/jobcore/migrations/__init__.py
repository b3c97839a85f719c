"""Bring a database to the current schema: `python -m jobcore.migrations` (it reads DATABASE_URL).

Migrations take `lock_timeout = 2s` and try again, so that a waiting ALTER never stops claims behind a backup;
an advisory transaction lock lets any number of processes start them at once.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config


def config(database_url: str) -> Config:
    """Alembic's configuration for this database."""
    result = Config()
    result.set_main_option("script_location", str(Path(__file__).parent))
    result.attributes["database_url"] = database_url
    return result


def upgrade(database_url: str) -> None:
    """Apply every missing migration to the database at this URL."""
    command.upgrade(config(database_url), "head")
