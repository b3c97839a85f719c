"""Where a list finds its candidates: indexes in the order of the list, each read up to a number of entries.

A source gives the jobs that one part of a filter allows, in order and without gaps. So whoever checks its jobs against
the whole filter, one bounded step after the other, misses none.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from jobcore.models import JobFilter, JobOrder, JobPosition
from jobcore.states import TERMINAL, Status

OPEN: Final = [status for status in Status if status not in TERMINAL]
FIRST_ID: Final = UUID(int=0)
LAST_ID: Final = UUID(int=2**128 - 1)
CLOCK_SLACK: Final = timedelta(minutes=1)
"""How far the clock of an API, which makes ids, may differ from PostgreSQL's, which makes `created_at`."""

FINISHED: Final = "CASE WHEN finished_at IS NOT NULL THEN true END"
ENDED: Final = "CASE WHEN finished_at IS NOT NULL THEN 'ended' END = 'ended'"
"""Whether a row of `jobs` has ended, as the indexes `jobs_by_finish` and `jobs_ended_by_queue` say it.

They differ so that the planner cannot take one index for the other, nor either of them for another statement."""

OF_SCHEDULE: Final = "schedule_id = CAST(:schedule_id AS uuid)"
OF_OWNER: Final = "owner = CAST(:owner AS text)"
# All jobs of a schedule have one owner, so its first one tells. A filter of the rows would read all of another's.
OF_SCHEDULE_OF_OWNER: Final = f"""
schedule_id = (SELECT schedule_id FROM (SELECT * FROM jobs WHERE {OF_SCHEDULE} LIMIT 1) AS any_job WHERE {OF_OWNER})
"""
ENDED_OF_OWNER: Final = "CASE WHEN finished_at IS NOT NULL THEN owner END = CAST(:owner AS text)"
"""Whether a row of `jobs` has ended and is of the owner, as the index `jobs_of_owner_by_finish` says it."""


class Source(StrEnum):
    """What is read in order: one index, or several that are merged.

    With an owner, it has no job of another one: neither what a request costs nor its cursor tells of these.
    """

    EVERY = "every"
    TYPE = "type"
    SCHEDULE = "schedule"
    QUEUE = "queue"
    FINISH = "finish"
    OWNER = "owner"
    OWNER_SCHEDULE = "owner's schedule"
    OWNER_FINISH = "owner's finish"

    @classmethod
    def of(cls, wanted: JobFilter, order: JobOrder) -> Source:
        """The source with the fewest jobs that the filter refuses, as far as the filter alone can tell."""
        if wanted.owner is not None:
            listed = cls.OWNER_SCHEDULE if wanted.schedule_id else cls.OWNER
            return cls.OWNER_FINISH if order.by_finish else listed
        if order.by_finish:
            return cls.FINISH
        if wanted.schedule_id:
            return cls.SCHEDULE
        if wanted.queues and Status.SUCCESS in wanted.possible_statuses:
            return cls.QUEUE
        if wanted.task_types or len(wanted.possible_statuses) < len(Status):
            return cls.TYPE
        return cls.EVERY

    @property
    def is_by_finish(self) -> bool:
        """Whether its order is that of ends."""
        return self in (Source.FINISH, Source.OWNER_FINISH)


TYPES: Final = """
RECURSIVE every_type AS (
    (SELECT task_type FROM jobs WHERE {among} ORDER BY task_type LIMIT 1)
    UNION ALL
    SELECT next.task_type FROM every_type CROSS JOIN LATERAL (
        SELECT task_type FROM jobs WHERE {among} AND task_type > every_type.task_type ORDER BY task_type LIMIT 1
    ) AS next
), types AS MATERIALIZED (
    SELECT task_type FROM every_type
    WHERE CAST(:task_types AS text[]) IS NULL OR task_type = ANY(CAST(:task_types AS text[]))
)
"""
"""CTEs: the wanted task types of jobs. Each is found by one index lookup, and there are few, however many jobs."""

# with equal type and status as conditions, the planner might read the whole history in order of id
OF_LIST: Final = """
SELECT id FROM (
    SELECT task_type, status, id FROM jobs
    WHERE {among} AND (task_type, status, id) {beyond} (type.task_type, wanted, CAST(:start AS uuid))
    ORDER BY task_type {down}, status {down}, id {down} LIMIT :candidates
) AS next
WHERE task_type = type.task_type AND status = wanted AND id {within} CAST(:stop AS uuid)
"""
"""The next jobs of one type and one status."""

BY_TYPE: Final = f"""
SELECT one.id FROM types AS type CROSS JOIN unnest(CAST(:statuses AS text[])) AS wanted
CROSS JOIN LATERAL ({OF_LIST}) AS one ORDER BY id {{down}} LIMIT :candidates
"""
BY_QUEUE: Final = f"""
SELECT id FROM (
    SELECT one.id FROM unnest(CAST(:queues AS text[])) AS wanted CROSS JOIN LATERAL (
        SELECT id FROM (
            SELECT queue, id FROM jobs WHERE {ENDED} AND (queue, id) {{beyond}} (wanted, CAST(:start AS uuid))
            ORDER BY queue {{down}}, id {{down}} LIMIT :candidates
        ) AS next WHERE queue = wanted AND id {{within}} CAST(:stop AS uuid)
    ) AS one
    UNION ALL
    SELECT id FROM ({BY_TYPE}) AS open
) AS either ORDER BY id {{down}} LIMIT :candidates
"""
BY_FINISH: Final = """
SELECT id, finished_at FROM jobs
WHERE {among} AND (finished_at, id) {beyond} (CAST(:start_at AS timestamptz), CAST(:start AS uuid))
  AND finished_at {until} CAST(:stop_at AS timestamptz)
ORDER BY finished_at {down}, id {down} LIMIT :candidates
"""
EVERY: Final = """
SELECT id FROM jobs WHERE id {beyond} CAST(:start AS uuid) AND id {within} CAST(:stop AS uuid)
ORDER BY id {down} LIMIT :candidates
"""

SOURCES: Final = {
    Source.EVERY: EVERY,
    Source.TYPE: BY_TYPE,
    Source.SCHEDULE: BY_TYPE,
    Source.QUEUE: BY_QUEUE,
    Source.FINISH: BY_FINISH,
    Source.OWNER: BY_TYPE,
    Source.OWNER_SCHEDULE: BY_TYPE,
    Source.OWNER_FINISH: BY_FINISH,
}
BY_LIST: Final = tuple(source for source, sql in SOURCES.items() if sql == BY_TYPE)
"""The sources that merge lists, one of each task type and status."""
AMONG: Final = {
    Source.SCHEDULE: OF_SCHEDULE,
    Source.FINISH: FINISHED,
    Source.OWNER: OF_OWNER,
    Source.OWNER_SCHEDULE: OF_SCHEDULE_OF_OWNER,
    Source.OWNER_FINISH: ENDED_OF_OWNER,
}
"""Which rows of `jobs` a source has; others have all."""


UP: Final = {"beyond": ">", "within": "<", "until": "<", "down": "ASC"}
DOWN: Final = {"beyond": "<", "within": ">", "until": ">=", "down": "DESC"}


def candidates(source: Source, *, descending: bool) -> str:
    """SQL that begins with WITH: the CTE `candidates`, the next `:candidates` jobs of the source.

    `parameters` has its other parameters.
    """
    among = _among(source)
    start = "WITH " if source is Source.EVERY or source.is_by_finish else f"{types(source)}, "
    direction = DOWN if descending else UP
    return f"{start}candidates AS MATERIALIZED ({SOURCES[source].format(among=among, **direction)})"


def types(source: Source) -> str:
    """SQL that begins with WITH: the CTE `types`, the wanted task types of the source's jobs."""
    return f"WITH {TYPES.format(among=_among(source))}"


def of_list(source: Source) -> str:
    """SQL: the newest `:candidates` jobs of the type `type.task_type` and the status `wanted`."""
    return OF_LIST.format(among=_among(source), **DOWN)


def _among(source: Source) -> str:
    return AMONG.get(source, "true")


def parameters(wanted: JobFilter, order: JobOrder, after: JobPosition | None) -> dict[str, Any]:
    """The parameters of `candidates`: where to start, behind the position `after`, and where to stop."""
    source = Source.of(wanted, order)
    statuses = wanted.possible_statuses
    bounds = _bounds_of_finish(wanted, order, after) if order.by_finish else _bounds_of_id(wanted, order, after)
    return bounds | {
        "statuses": [status for status in statuses if status in OPEN] if source is Source.QUEUE else list(statuses),
        "task_types": list(wanted.task_types) or None,
        "queues": list(wanted.queues) or None,
        "schedule_id": wanted.schedule_id,
        "owner": wanted.owner,
    }


def _bounds_of_id(wanted: JobFilter, order: JobOrder, after: JobPosition | None) -> dict[str, Any]:
    """Both exclusive. A UUIDv7 begins with its time, so a range of times is a range of ids."""
    lowest = _id_of(wanted.created_after, -CLOCK_SLACK) if wanted.created_after else FIRST_ID
    ends = [end for end in (wanted.created_before, wanted.finished_before) if end]
    highest = _id_of(min(ends), CLOCK_SLACK) if ends else LAST_ID
    if wanted.ids:
        first, last = wanted.ids
        lowest, highest = max(lowest, _beside(first, -1)), min(highest, _beside(last, 1))
    start, stop = (highest, lowest) if order.descending else (lowest, highest)
    if after:
        start = min(start, after.id) if order.descending else max(start, after.id)
    return {"start": start, "stop": stop}


def _bounds_of_finish(wanted: JobFilter, order: JobOrder, after: JobPosition | None) -> dict[str, Any]:
    """`start` is exclusive, so with the lowest id it includes a time in ascending order, and excludes it otherwise."""
    earliest = wanted.finished_after or "-infinity"
    latest = wanted.finished_before or "infinity"
    start, stop = (latest, earliest) if order.descending else (earliest, latest)
    if after:
        return {"start_at": after.finished_at, "start": after.id, "stop_at": stop}
    return {"start_at": start, "start": FIRST_ID, "stop_at": stop}


def _beside(job_id: UUID, step: int) -> UUID:
    """The id before or after; the ends have no neighbour, and no job has them."""
    return UUID(int=min(max(job_id.int + step, FIRST_ID.int), LAST_ID.int))


def _id_of(time: datetime, slack: timedelta) -> UUID:
    """The lowest UUIDv7 of this time and a slack (RFC 9562, section 5.7: 48 bits of milliseconds)."""
    milliseconds = int((time.timestamp() + slack.total_seconds()) * 1000)
    return UUID(int=min(max(milliseconds, 0), 2**48 - 1) << 80)
