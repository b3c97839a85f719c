"""How many jobs of a filter have each status, counted up to a bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, TextClause, text

from jobcore.models import JobFilter, JobOrder, JobPosition
from jobcore.states import Status
from jobcore.store import job_sources, listing
from jobcore.store.job_sources import Source
from jobcore.store.prepared import ORDERED

NEWEST: Final = JobOrder()


def _of_lists(source: Source) -> TextClause:
    return text(f"""{ORDERED}
{job_sources.types(source)}
SELECT wanted AS status, (
    SELECT count(*) FROM (
        SELECT FROM types AS type CROSS JOIN LATERAL ({job_sources.of_list(source)}) AS one LIMIT :candidates
    ) AS counted
) AS jobs
FROM unnest(CAST(:statuses AS text[])) AS wanted
""")


OF_LISTS: Final = {source: _of_lists(source) for source in job_sources.BY_LIST}


def of_lists(connection: Connection, wanted: JobFilter, bound: int) -> dict[Status, int]:
    """How many jobs of a filter that `is_indexed` have each status, each counted up to `bound`.

    Only entries of an index are read.
    """
    statement = OF_LISTS.get(Source.of(wanted, NEWEST), OF_LISTS[Source.TYPE])
    parameters = listing.parameters(wanted, NEWEST, None) | {"candidates": bound}
    return {Status(row.status): row.jobs for row in connection.execute(statement, parameters)}


def _step(source: Source) -> TextClause:
    reached_at = "finished_at" if source.is_by_finish else "NULL"
    back = "finished_at, id" if source.is_by_finish else "id"
    return text(f"""{ORDERED}
{job_sources.candidates(source, descending=True)}, counted AS (
    SELECT status, count(*) AS jobs {listing.CHECKED} GROUP BY status
)
SELECT (SELECT count(*) FROM candidates) AS examined, reached.*, counted.*
FROM (SELECT 1) AS one
LEFT JOIN (SELECT id, {reached_at} AS finished_at FROM candidates ORDER BY {back} LIMIT 1) AS reached ON true
LEFT JOIN counted ON true
""")


STEPS: Final = {source: _step(source) for source in Source}


@dataclass(frozen=True, slots=True)
class Counted:
    """A step of a count: the examined jobs by status. `reached` and `ended` are as in `listing.Step`."""

    jobs: Mapping[Status, int]
    examined: int
    reached: JobPosition | None
    ended: bool


def step(connection: Connection, wanted: JobFilter, after: JobPosition | None, *, candidates: int) -> Counted:
    """Count the jobs of a filter among the next `candidates` behind a position."""
    by_finish = bool(wanted.finished_after or wanted.finished_before) and not (wanted.queues or wanted.schedule_id)
    order = JobOrder(by_finish)
    parameters = listing.parameters(wanted, order, after) | {"candidates": candidates}
    rows = connection.execute(STEPS[Source.of(wanted, order)], parameters).all()
    first = rows[0]
    return Counted(
        jobs={Status(row.status): row.jobs for row in rows if row.status},
        examined=first.examined,
        reached=JobPosition(first.id, first.finished_at) if first.id else after,
        ended=first.examined < candidates,
    )
