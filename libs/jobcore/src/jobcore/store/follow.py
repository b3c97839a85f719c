"""What streams read: the story of a job in pages of bounded size, and which of many jobs have more to tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.models import Event
from jobcore.states import TERMINAL, Status
from jobcore.store import json_text

SAID: Final = json_text.stored("data")

PAGE: Final = text(f"""
WITH RECURSIVE page AS (
    (
        SELECT seq, at, attempt, kind, said, 1 AS place, CAST(octet_length(said) AS bigint) AS bytes
        FROM (SELECT *, {SAID} AS said FROM job_events WHERE job_id = :job_id AND seq > :after) AS first
        ORDER BY seq LIMIT 1
    )
    UNION ALL
    SELECT next.seq, next.at, next.attempt, next.kind, next.said, place + 1, bytes + octet_length(next.said)
    FROM page CROSS JOIN LATERAL (
        SELECT *, {SAID} AS said FROM job_events WHERE job_id = :job_id AND seq > page.seq ORDER BY seq LIMIT 1
    ) AS next
    WHERE place < :max_events AND bytes < :max_bytes
)
SELECT seq, at, attempt, kind, said, place = :max_events OR bytes >= :max_bytes AS full FROM page ORDER BY seq
""")


@dataclass(frozen=True, slots=True)
class Page:
    """Events in order; `full` says that more may follow."""

    events: Sequence[Event]
    full: bool


def page(connection: Connection, job_id: UUID, after: int, *, max_events: int, max_bytes: int) -> Page:
    """The events after a cursor: as many as fit into both bounds, and one at least.

    `max_bytes` bounds the JSON of the events before the last one, so a page holds that much and one event more. No
    event after the page is read: its size would be paid for by PostgreSQL and by us.
    """
    bounds = {"job_id": job_id, "after": after, "max_events": max_events, "max_bytes": max_bytes}
    rows = connection.execute(PAGE, bounds).all()
    found = [Event(row.seq, row.at, row.attempt, row.kind, json_text.loads(row.said)) for row in rows]
    return Page(found, bool(rows) and rows[-1].full)


# The sub-select keeps the array out of planning, which would estimate each of its elements. Against a join with two
# arrays (ids, seqs) this takes a sixth of the time for 3,000 jobs.
AHEAD: Final = text("""
SELECT id, last_seq FROM jobs
WHERE id = ANY(CAST((SELECT CAST(:ids AS uuid[])) AS uuid[])) AND last_seq > :least
""")


def ahead(connection: Connection, cursors: Mapping[UUID, int]) -> set[UUID]:
    """Of these jobs, each with the seq that was last seen, those with later events.

    PostgreSQL compares with the lowest cursor alone, so jobs with similar cursors are best asked for together.
    """
    if not cursors:
        return set()
    ids = "{" + ",".join([job_id.hex for job_id in cursors]) + "}"
    rows = connection.execute(AHEAD, {"ids": ids, "least": min(cursors.values())})
    return {job_id for job_id, last_seq in rows if last_seq > cursors[job_id]}


END: Final = text("SELECT last_seq, status FROM jobs WHERE id = :job_id")


@dataclass(frozen=True, slots=True)
class End:
    """How far the story of a job goes, and whether it is over unless somebody retries the job."""

    seq: int
    over: bool


def end(connection: Connection, job_id: UUID) -> End | None:
    """Where the story of a job ends now; None if there is no such job."""
    row = connection.execute(END, {"job_id": job_id}).first()
    return End(row.last_seq, Status(row.status) in TERMINAL) if row else None
