"""Rate limits of keys: how many jobs of a rate key may start within a window. A key without a limit has none.

A limit is deleted when no job of its key was due for as long as ended jobs are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from jobcore.store import start_permits
from jobcore.store.forgetting import Forgetting
from jobcore.store.key_locks import MAX_KEYS
from jobcore.store.ownership import OF_KEY
from jobcore.store.rows import Rows
from jobcore.store.transactions import transaction

MAX_STARTS: Final = 10_000
"""The highest limit: each decision counts the starts within the window."""
MAX_WINDOW_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `max_starts` jobs of the key start within any `window_s` seconds."""

    key: str
    max_starts: int
    window_s: float


@dataclass(frozen=True, slots=True)
class RateUse:
    """A limit and its use: `taken` permits belong to starts within the window and to ready jobs.

    A full limit has no other permit before `next_start_at`.
    """

    key: str
    max_starts: int
    window_s: float
    taken: int
    next_start_at: datetime | None

    @property
    def limit(self) -> RateLimit:
        """The limit itself."""
        return RateLimit(self.key, self.max_starts, self.window_s)


_USES: Final = Rows(RateUse)
_SHOW: Final = f"""
WITH {start_permits.MOMENT} SELECT {_USES.columns} FROM (
    SELECT *, (SELECT now FROM moment) + make_interval(secs => next_in_s) AS next_start_at
    FROM ({start_permits.USE}) AS used
) AS shown ORDER BY key
"""
_LISTED: Final = "(SELECT key FROM rate_limits WHERE {of} AND key > :after ORDER BY key LIMIT :limit) AS listed"
PAGE_OF_ANYONE: Final = text(_SHOW.format(keys=_LISTED.format(of="true")))
PAGE_OF_OWNER: Final = text(_SHOW.format(keys=_LISTED.format(of=OF_KEY.format(key="key"))))
FIND: Final = text(_SHOW.format(keys="(SELECT key FROM rate_limits WHERE key = :key) AS found"))


def page(connection: Connection, after: str = "", limit: int = 100, owner: str | None = None) -> list[RateUse]:
    """The limits of the first `limit` keys after `after`, in order of key; of an owner, or of everyone."""
    statement = PAGE_OF_OWNER if owner else PAGE_OF_ANYONE
    given = {"after": after, "limit": limit} | ({"owner": owner} if owner else {})
    return _USES.read(connection.execute(statement, given))


def find(connection: Connection, key: str) -> RateUse | None:
    """The limit of this key; None if it has none."""
    return next(iter(_USES.read(connection.execute(FIND, {"key": key}))), None)


PUT: Final = text(
    f"""{start_permits.LOCK}
INSERT INTO rate_limits (key, max_starts, window_s) VALUES (:key, :max_starts, :window_s)
ON CONFLICT (key) DO UPDATE SET max_starts = excluded.max_starts, window_s = excluded.window_s, used_at = now();
{start_permits.BLOCK_EXCESS}"""
)


def put(connection: Connection, limit: RateLimit) -> None:
    """Set the limit of a key at once: ready jobs that exceed it are blocked again, running jobs continue.

    Recent starts of the key count: those within the window of an earlier limit, and in any case within a minute.
    """
    parameters = {"key": limit.key, "names": [limit.key], "max_starts": limit.max_starts, "window_s": limit.window_s}
    connection.execute(PUT, parameters)


PUT_IF: Final = text(
    f"""{start_permits.LOCK}
WITH changed AS (
    UPDATE rate_limits SET max_starts = :max_starts, window_s = :window_s, used_at = now()
    WHERE key = :key AND max_starts = :was_starts AND window_s = :was_window_s
    RETURNING key
)
SELECT EXISTS (SELECT FROM changed)
"""
)
BLOCK_EXCESS: Final = text(f"{start_permits.LOCK}{start_permits.BLOCK_EXCESS}")


def put_if(connection: Connection, was: RateLimit, limit: RateLimit) -> bool:
    """`put` a limit unless it has been changed since it was as `was`; returns whether it did."""
    parameters = {"key": limit.key, "names": [limit.key], "max_starts": limit.max_starts, "window_s": limit.window_s}
    given = {**parameters, "was_starts": was.max_starts, "was_window_s": was.window_s}
    with transaction(connection):
        changed = bool(connection.execute(PUT_IF, given).scalar_one())
        if changed:
            connection.execute(BLOCK_EXCESS, {"key": limit.key, "names": [limit.key]})
    return changed


DELETE: Final = text(f"{start_permits.LOCK} DELETE FROM rate_limits WHERE key = :key")


def delete(connection: Connection, key: str) -> bool:
    """Remove the limit of a key; its blocked jobs become ready when `start_permits.unblock` is called.

    Returns whether the key had one.
    """
    return connection.execute(DELETE, {"key": key, "names": [key]}).rowcount > 0


IS_UNUSED: Final = f"""
used_at < now() - make_interval(secs => :age_s)
    AND (SELECT 1 FROM jobs WHERE rate_key = key AND {start_permits.BLOCKED} LIMIT 1) IS NULL
    AND (SELECT 1 FROM jobs WHERE rate_key = key AND {start_permits.READY} LIMIT 1) IS NULL
"""
FORGETTING: Final = Forgetting.of("rate_limits", IS_UNUSED, start_permits.LOCK)


def forget(connection: Connection, age_s: float, limit: int = MAX_KEYS) -> int:
    """Delete limits of keys that no job used for `age_s` seconds; returns how many, at most `limit`."""
    return FORGETTING.run(connection, age_s, limit)
