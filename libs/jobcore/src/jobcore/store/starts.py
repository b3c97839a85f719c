"""The starts that rate limits count: a claim writes a row for each job of a rate key or of a queue with a rate limit.

A rate limit allows `max_starts` starts within any `window_s` seconds. The time of a start is the `started_at` of its
run. It is read from the clock of PostgreSQL (`clock_timestamp()`) by the statement that claims, because the time of the
transaction may lie before the permit that the claim relies on.

Rows older than the window of their limit count no more; housekeeping deletes them.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

from jobcore.store.transactions import DURABLE

KEPT: Final = "60"
"""For how many seconds a start is kept at least, so that a limit which is set or widened counts recent starts too."""

_IN_WINDOW: Final = """
FROM starts WHERE counted_for = {of} AND at > {now} - make_interval(secs => window_s)
    -- a start so far in the future (the clock was set back) is in no window with a start that happens now
    AND at < {now} + make_interval(secs => window_s)
"""


def of_key(key: str) -> str:
    """SQL: what the starts of this rate key are counted for."""
    return f"'rate_key:' || {key}"


def of_queue(name: str) -> str:
    """SQL: what the starts of this queue are counted for."""
    return f"'queue:' || {name}"


def started(of: str, now: str = "now()") -> str:
    """SQL: how many starts count at the time `now` against a row with the columns `max_starts` and `window_s`."""
    return f"(SELECT count(*) {_IN_WINDOW.format(of=of, now=now)})"


def next_start(of: str, now: str = "now()", taken: str = "max_starts") -> str:
    """SQL: when the next permit of a full limit is free, if `taken` permits are taken; NULL if no start tells it."""
    order = f"ORDER BY at LIMIT 1 OFFSET greatest(0, {taken} - max_starts)"
    return f"((SELECT at {_IN_WINDOW.format(of=of, now=now)} {order}) + make_interval(secs => window_s))"


QUEUE_PERMITS: Final = f"""
CASE WHEN max_starts IS NOT NULL THEN greatest(0, max_starts - {started(of_queue("name"), "{now}")}) END
"""
"""How many more jobs of a row of `queues` may start at the time `{{now}}` by its rate limit; NULL without one."""

COUNTED: Final = f"""
counted AS (
    INSERT INTO starts (counted_for, at)
    SELECT {of_key("rate_key")}, claimed_at FROM claimed WHERE rate_key IS NOT NULL
    UNION ALL SELECT {of_queue("queue")}, claimed_at FROM claimed WHERE (SELECT rated FROM open_queue)
)
"""
"""A CTE that writes the starts of the jobs `claimed`."""

FORGET: Final = text(
    DURABLE
    + f"""
WITH RECURSIVE names AS (
    (SELECT counted_for FROM starts ORDER BY counted_for LIMIT 1)
    UNION ALL
    SELECT next.counted_for FROM names CROSS JOIN LATERAL (
        SELECT counted_for FROM starts WHERE counted_for > names.counted_for ORDER BY counted_for LIMIT 1
    ) AS next
), old AS MATERIALIZED (
    SELECT first.ctid FROM names CROSS JOIN LATERAL (
        SELECT ctid FROM starts WHERE counted_for = names.counted_for
          AND at < now() - make_interval(secs => greatest({KEPT}, coalesce(
              (SELECT window_s FROM rate_limits WHERE {of_key("key")} = names.counted_for
                 AND key = substr(names.counted_for, {len("rate_key:") + 1})),
              (SELECT window_s FROM queues WHERE {of_queue("name")} = names.counted_for
                 AND name = substr(names.counted_for, {len("queue:") + 1})), 0)))
        ORDER BY at LIMIT :limit
    ) AS first LIMIT :limit
)
DELETE FROM starts WHERE ctid = ANY(ARRAY(SELECT ctid FROM old))
"""
)


def forget(connection: Connection, limit: int) -> int:
    """Delete starts that count no more; returns how many, at most `limit`."""
    return connection.execute(FORGET, {"limit": limit}).rowcount
