"""The feed: states and progress of all jobs in one order, so that one cursor suffices for any number of jobs.

Each event has the id of the transaction that stored it. Transactions commit in another order than that of their ids,
so the feed ends below the oldest one that is still open: what it shows can no longer change, and no event can appear
behind a cursor. A transaction without an id, such as one that only reads, holds nothing up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.models import Event, FeedEvent, FeedFilter, FeedPosition
from jobcore.store import json_text
from jobcore.store.ownership import OWNED
from jobcore.store.prepared import ORDERED

KINDS: Final = ("state", "progress")
"""The kinds of events in the feed, as in the index `job_events_by_transaction`."""
IN_FEED: Final = f"kind IN {KINDS}"
HORIZON: Final = "pg_snapshot_xmin(pg_current_snapshot())"
"""The oldest transaction that is still open: all before it have ended."""
# The condition names the key, because a sequential scan of even one row would count as too dear here (see ORDERED).
DELETED: Final = "(SELECT CAST(CAST(last_txid AS text) AS bigint) FROM deleted_events WHERE only_one)"
LIST: Final = "(CAST(:{name} AS {kind}[]) IS NULL OR {column} = ANY(CAST(:{name} AS {kind}[])))"

PAGE: Final = text(f"""{ORDERED}
WITH candidates AS MATERIALIZED (
    SELECT txid, job_id, seq, at, attempt, kind, {json_text.stored("data")} AS data,
           CASE kind WHEN 'state' THEN data ->> 'status' ELSE 'RUNNING' END AS status
    FROM job_events
    WHERE {IN_FEED} AND txid >= CAST(:txid AS xid8) AND txid < {HORIZON}
      AND (txid, job_id, seq) > (CAST(:txid AS xid8), CAST(:job_id AS uuid), CAST(:seq AS bigint))
    ORDER BY txid, job_id, seq LIMIT :candidates
), sized AS MATERIALIZED (
    SELECT *, sum(octet_length(data)) OVER (ORDER BY txid, job_id, seq) - octet_length(data) AS bytes_before
    FROM candidates
), taken AS MATERIALIZED (
    SELECT * FROM sized WHERE bytes_before < :max_bytes
), summary AS (
    SELECT (SELECT count(*) FROM candidates) = :candidates
           OR (SELECT count(*) FROM candidates) > (SELECT count(*) FROM taken) AS is_full,
           (SELECT CAST(row(txid, job_id, seq) AS text) FROM taken ORDER BY txid DESC, job_id DESC, seq DESC LIMIT 1)
               AS reached,
           CAST({HORIZON} AS text) AS horizon, {DELETED} AS deleted,
           EXISTS (
               SELECT FROM job_events
               WHERE {IN_FEED} AND txid >= {HORIZON} AND txid < pg_snapshot_xmax(pg_current_snapshot())
           ) AS is_held
)
SELECT summary.*, found.* FROM summary LEFT JOIN LATERAL (
    SELECT CAST(txid AS text) AS txid, job_id, seq, at, taken.attempt, kind, data, task_type, queue, tags, schedule_id,
           owner
    FROM taken JOIN jobs ON jobs.id = job_id
    WHERE {LIST.format(name="kinds", kind="text", column="kind")}
      AND {LIST.format(name="statuses", kind="text", column="taken.status")}
      AND {LIST.format(name="task_types", kind="text", column="task_type")}
      AND {LIST.format(name="queues", kind="text", column="queue")}
      AND {LIST.format(name="job_ids", kind="uuid", column="job_id")}
      AND tags @> CAST(:tags AS text[])
      AND (CAST(:schedule_id AS uuid) IS NULL OR schedule_id = CAST(:schedule_id AS uuid))
      AND {OWNED}
) AS found ON true
ORDER BY CAST(found.txid AS xid8), job_id, seq
""")

HEAD: Final = text(f"SELECT CAST({HORIZON} AS text) AS horizon, {DELETED} AS deleted")


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Events in order, and the position up to which there are no others of the filter."""

    events: Sequence[FeedEvent]
    reached: FeedPosition
    full: bool
    """More may follow at once."""
    held: bool
    """Events behind the page are committed, and become readable once older transactions have ended."""
    deleted: int
    """The latest transaction of which retention has deleted an event; 0 for none."""


@dataclass(frozen=True, slots=True)
class FeedHead:
    """Where the feed ends now, and the latest transaction of which retention has deleted an event; 0 for none."""

    position: FeedPosition
    deleted: int


def page(
    connection: Connection, wanted: FeedFilter, after: FeedPosition, *, candidates: int, max_bytes: int
) -> FeedPage:
    """The events of the filter among the next `candidates` events after a position.

    `max_bytes` bounds the JSON of all of these but the last one.
    """
    bounds = {"candidates": candidates, "max_bytes": max_bytes}
    place = {"txid": str(after.txid), "job_id": after.job_id, "seq": after.seq}
    rows = connection.execute(PAGE, _parameters(wanted) | place | bounds).mappings().all()
    summary = rows[0]
    return FeedPage(
        events=[_event(row) for row in rows if row["txid"] is not None],
        reached=_position(summary["reached"]) if summary["is_full"] else FeedPosition(int(summary["horizon"])),
        full=summary["is_full"],
        held=summary["is_held"],
        deleted=summary["deleted"] or 0,
    )


def head(connection: Connection) -> FeedHead:
    """Where the feed ends now."""
    row = connection.execute(HEAD).one()
    return FeedHead(FeedPosition(int(row.horizon)), row.deleted or 0)


def _parameters(wanted: FeedFilter) -> dict[str, Any]:
    return {
        "kinds": list(wanted.kinds) or None,
        "statuses": list(wanted.statuses) or None,
        "task_types": list(wanted.task_types) or None,
        "queues": list(wanted.queues) or None,
        "job_ids": [str(job_id) for job_id in wanted.job_ids] or None,
        "tags": list(wanted.tags),
        "schedule_id": wanted.schedule_id,
        "owner": wanted.owner,
    }


def _event(row: Mapping[Any, Any]) -> FeedEvent:
    return FeedEvent(
        FeedPosition(int(row["txid"]), row["job_id"], row["seq"]),
        Event(row["seq"], row["at"], row["attempt"], row["kind"], json_text.loads(row["data"])),
        row["task_type"],
        row["queue"],
        frozenset(row["tags"]),
        row["schedule_id"],
        row["owner"],
    )


def _position(row: str) -> FeedPosition:
    txid, job_id, seq = row.strip("()").split(",")
    return FeedPosition(int(txid), UUID(job_id), int(seq))
