"""Limits by concurrency key: how many jobs of a key run at once. A key without a row lets one run.

A limit above 0 is forgotten when no job of its key came to its gate for as long as ended jobs are kept. A limit of 0
is never forgotten: it holds back whatever comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from jobcore.store import gates


@dataclass(frozen=True, slots=True)
class ConcurrencyLimit:
    """At most `max_running` jobs of this key run at once."""

    key: str
    max_running: int


PAGE: Final = text("SELECT key, max_running FROM key_limits WHERE key > :after ORDER BY key LIMIT :limit")


def page(connection: Connection, after: str = "", limit: int = 100) -> list[ConcurrencyLimit]:
    """Limits that were set, by key, the first after this one."""
    return [ConcurrencyLimit(*row) for row in connection.execute(PAGE, {"after": after, "limit": limit})]


PUT: Final = text(
    f"""{gates.LOCK}
INSERT INTO key_limits (key, max_running) VALUES (:key, :max_running)
ON CONFLICT (key) DO UPDATE SET max_running = excluded.max_running, used_at = now();
{gates.CROWDED}"""
)


def put(connection: Connection, limit: ConcurrencyLimit) -> None:
    """Set the limit of a key. It holds at once: jobs beyond it that have not begun wait again, running ones go on."""
    parameters = {"key": limit.key, "names": [limit.key], "max_running": limit.max_running}
    connection.execute(PUT, parameters)


DELETE: Final = text(f"{gates.LOCK} DELETE FROM key_limits WHERE key = :key; {gates.CROWDED}")


def delete(connection: Connection, key: str) -> None:
    """Back to one job at a time, at once, as with `put`."""
    connection.execute(DELETE, {"key": key, "names": [key]})


_UNUSED: Final = """
max_running > 0 AND used_at < now() - make_interval(secs => :age_s)
    AND (SELECT 1 FROM jobs WHERE concurrency_key = key AND status = 'PENDING' AND gate = 'key' LIMIT 1) IS NULL
    AND (SELECT 1 FROM jobs WHERE concurrency_key = key AND {holds} LIMIT 1) IS NULL
"""
UNUSED: Final = text(f"SELECT key FROM key_limits WHERE {_UNUSED.format(holds=gates.HOLDS_A_PLACE)} LIMIT :limit")
FORGET: Final = text(
    f"""{gates.LOCK}
DELETE FROM key_limits WHERE key = ANY(:names) AND {_UNUSED.format(holds=gates.HOLDS_A_PLACE)}
"""
)


def forget(connection: Connection, age_s: float, limit: int = gates.AT_ONCE) -> int:
    """Forget limits whose keys no job used for `age_s` seconds; returns how many."""
    unused = list(connection.execute(UNUSED, {"age_s": age_s, "limit": limit}).scalars())
    return connection.execute(FORGET, {"names": unused, "age_s": age_s}).rowcount if unused else 0
