"""Lists of jobs by a filter, in order, read in steps of bounded cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, TextClause, text

from jobcore.models import Job, JobFilter, JobOrder, JobPosition
from jobcore.store import job_sources
from jobcore.store.job_sources import Source
from jobcore.store.jobs import SUMMARY, from_row
from jobcore.store.ownership import OWNED
from jobcore.store.prepared import ORDERED

LIST: Final = "(CAST(:{name} AS text[]) IS NULL OR {column} = ANY(CAST(:{name} AS text[])))"
MATCHES: Final = f"""
    {LIST.format(name="only_statuses", column="status")}
    AND {LIST.format(name="only_types", column="task_type")}
    AND {LIST.format(name="queues", column="queue")}
    AND tags @> CAST(:tags AS text[])
    AND (CAST(:schedule_id AS uuid) IS NULL OR schedule_id = CAST(:schedule_id AS uuid))
    AND (CAST(:first_id AS uuid) IS NULL OR id BETWEEN CAST(:first_id AS uuid) AND CAST(:last_id AS uuid))
    AND (CAST(:created_after AS timestamptz) IS NULL OR created_at >= CAST(:created_after AS timestamptz))
    AND (CAST(:created_before AS timestamptz) IS NULL OR created_at < CAST(:created_before AS timestamptz))
    AND (CAST(:finished_after AS timestamptz) IS NULL OR finished_at >= CAST(:finished_after AS timestamptz))
    AND (CAST(:finished_before AS timestamptz) IS NULL OR finished_at < CAST(:finished_before AS timestamptz))
    AND (CAST(:metadata AS jsonb) IS NULL OR metadata @> CAST(:metadata AS jsonb))
    AND (CAST(:error_contains AS text) IS NULL OR strpos(
        lower(concat_ws(': ', error ->> 'type', error ->> 'message') COLLATE "C"),
        lower(CAST(:error_contains AS text) COLLATE "C")) > 0)
    AND (CAST(:input AS jsonb) IS NULL OR input @> CAST(:input AS jsonb))
    AND {OWNED}
"""
"""Whether a row of `jobs` is one of the filter, with the parameters of `matching`."""

# OFFSET 0 keeps the conditions outside: with them inside, the planner might read another index than the key
CHECKED: Final = f"""
FROM (SELECT * FROM jobs WHERE id = ANY(ARRAY(SELECT id FROM candidates)) OFFSET 0) AS jobs WHERE {MATCHES}
"""
"""The candidates that are jobs of the filter."""


def _page(source: Source, *, descending: bool) -> TextClause:
    columns, down, up = ("finished_at", "id") if source.is_by_finish else ("id",), "DESC", "ASC"
    if not descending:
        down, up = up, down
    order = ", ".join(f"{column} {down}" for column in columns)
    back = ", ".join(f"{column} {up}" for column in columns)
    reached_at = f"(SELECT finished_at FROM candidates ORDER BY {back} LIMIT 1)" if len(columns) > 1 else "NULL"
    return text(f"""{ORDERED}
{job_sources.candidates(source, descending=descending)}, matching AS MATERIALIZED (
    SELECT id {CHECKED} ORDER BY {order} LIMIT :limit
)
SELECT reach.*, found.* FROM (
    SELECT (SELECT count(*) FROM candidates) AS examined,
           (SELECT id FROM candidates ORDER BY {back} LIMIT 1) AS reached_id, {reached_at} AS reached_at
) AS reach LEFT JOIN LATERAL (
    SELECT {SUMMARY} FROM jobs WHERE id = ANY(ARRAY(SELECT id FROM matching)) ORDER BY {order}
) AS found ON true
ORDER BY {order}
""")


PAGES: Final = {
    (source, descending): _page(source, descending=descending) for source in Source for descending in (True, False)
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step through a list: the jobs found, how many were examined, and the position of the last one of these.

    If `ended`, no job follows.
    """

    jobs: Sequence[Job]
    examined: int
    reached: JobPosition | None
    ended: bool


def page(
    connection: Connection,
    wanted: JobFilter,
    order: JobOrder,
    after: JobPosition | None = None,
    *,
    limit: int,
    candidates: int | None = None,
) -> Step:
    """The first `limit` jobs of a filter among the next `candidates` of its source, without input and result.

    A page costs as much as it has candidates, whatever other jobs there are. If it has fewer than `limit` jobs and has
    not `ended`, the next step continues at `reached`; otherwise at the position of the last job (`position`).
    """
    most = candidates or limit
    bounds = {"limit": limit, "candidates": most}
    statement = PAGES[Source.of(wanted, order), order.descending]
    rows = connection.execute(statement, parameters(wanted, order, after) | bounds).mappings().all()
    examined, reached_id = rows[0]["examined"], rows[0]["reached_id"]
    return Step(
        jobs=[from_row(row) for row in rows if row["id"] is not None],
        examined=examined,
        reached=JobPosition(reached_id, rows[0]["reached_at"]) if reached_id else after,
        ended=examined < most,
    )


def position(job: Job, order: JobOrder) -> JobPosition:
    """The place of a job in an order."""
    return JobPosition(job.id, job.finished_at if order.by_finish else None)


def parameters(wanted: JobFilter, order: JobOrder, after: JobPosition | None) -> dict[str, Any]:
    """The parameters of the candidates of a filter, and of `MATCHES`."""
    first_id, last_id = wanted.ids or (None, None)
    return job_sources.parameters(wanted, order, after) | {
        "first_id": first_id,
        "last_id": last_id,
        "only_statuses": list(wanted.statuses) or None,
        "only_types": list(wanted.task_types) or None,
        "tags": list(wanted.tags),
        "created_after": wanted.created_after,
        "created_before": wanted.created_before,
        "finished_after": wanted.finished_after,
        "finished_before": wanted.finished_before,
        "metadata": wanted.metadata,
        "input": wanted.input,
        "error_contains": wanted.error_contains,
    }
