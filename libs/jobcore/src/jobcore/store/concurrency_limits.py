"""Limits by concurrency key: how many jobs of a key may run at once. A key without a limit runs one job at a time.

A limit above 0 is deleted when no job of its key was due for as long as ended jobs are kept. A limit of 0 is never
deleted: it blocks every job that comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from jobcore.store import limits
from jobcore.store.forgetting import Forgetting
from jobcore.store.key_locks import MAX_KEYS
from jobcore.store.ownership import OF_KEY


@dataclass(frozen=True, slots=True)
class ConcurrencyLimit:
    """At most `max_running` jobs of the key run at once."""

    key: str
    max_running: int


PAGE: Final = "SELECT key, max_running FROM key_limits WHERE {of} AND key > :after ORDER BY key LIMIT :limit"
PAGE_OF_ANYONE: Final = text(PAGE.format(of="true"))
PAGE_OF_OWNER: Final = text(PAGE.format(of=OF_KEY.format(key="key")))


def page(connection: Connection, after: str = "", limit: int = 100, owner: str | None = None) -> list[ConcurrencyLimit]:
    """The limits of the first `limit` keys after `after`, in order of key; of an owner, or of everyone."""
    statement = PAGE_OF_OWNER if owner else PAGE_OF_ANYONE
    rows = connection.execute(statement, {"after": after, "limit": limit} | ({"owner": owner} if owner else {}))
    return [ConcurrencyLimit(row.key, row.max_running) for row in rows]


PUT: Final = text(
    f"""{limits.LOCK}
INSERT INTO key_limits (key, max_running) VALUES (:key, :max_running)
ON CONFLICT (key) DO UPDATE SET max_running = excluded.max_running, used_at = now();
{limits.BLOCK_EXCESS}"""
)


def put(connection: Connection, limit: ConcurrencyLimit) -> None:
    """Set the limit of a key at once: ready jobs that exceed it are blocked again, running jobs continue."""
    parameters = {"key": limit.key, "names": [limit.key], "max_running": limit.max_running}
    connection.execute(PUT, parameters)


DELETE: Final = text(f"{limits.LOCK} DELETE FROM key_limits WHERE key = :key; {limits.BLOCK_EXCESS}")


def delete(connection: Connection, key: str) -> None:
    """Return a key to one job at a time, at once, as `put` does."""
    connection.execute(DELETE, {"key": key, "names": [key]})


IS_UNUSED: Final = f"""
max_running > 0 AND used_at < now() - make_interval(secs => :age_s)
    AND (SELECT 1 FROM jobs WHERE concurrency_key = key AND {limits.AT_KEY} LIMIT 1) IS NULL
    AND (SELECT 1 FROM jobs WHERE concurrency_key = key AND {limits.HAS_PERMIT} LIMIT 1) IS NULL
"""
FORGETTING: Final = Forgetting.of("key_limits", IS_UNUSED, limits.LOCK)


def forget(connection: Connection, age_s: float, limit: int = MAX_KEYS) -> int:
    """Delete limits of keys that no job used for `age_s` seconds; returns how many, at most `limit`."""
    return FORGETTING.run(connection, age_s, limit)
