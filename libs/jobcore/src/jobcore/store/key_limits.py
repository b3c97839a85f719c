"""Limits by concurrency key: how many jobs of a key run at once. A key without a row lets one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from jobcore.store import gates


@dataclass(frozen=True, slots=True)
class KeyLimit:
    """At most `max_running` jobs of this key run at once."""

    key: str
    max_running: int


PAGE: Final = text("SELECT key, max_running FROM key_limits WHERE key > :after ORDER BY key LIMIT :limit")


def page(connection: Connection, after: str = "", limit: int = 100) -> list[KeyLimit]:
    """Limits that were set, by key, the first after this one."""
    return [KeyLimit(*row) for row in connection.execute(PAGE, {"after": after, "limit": limit})]


PUT: Final = text(
    f"""{gates.LOCK}
INSERT INTO key_limits (key, max_running) VALUES (:key, :max_running)
ON CONFLICT (key) DO UPDATE SET max_running = excluded.max_running;
{gates.CROWDED}"""
)


def put(connection: Connection, limit: KeyLimit) -> None:
    """Set the limit of a key. It holds at once: jobs beyond it that have not begun wait again, running ones go on."""
    parameters = {"key": limit.key, "names": [limit.key], "max_running": limit.max_running}
    connection.execute(PUT, parameters)


DELETE: Final = text(f"{gates.LOCK} DELETE FROM key_limits WHERE key = :key; {gates.CROWDED}")


def delete(connection: Connection, key: str) -> None:
    """Back to one job at a time, at once, as with `put`."""
    connection.execute(DELETE, {"key": key, "names": [key]})
