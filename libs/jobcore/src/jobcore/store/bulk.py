"""Cancel and retry of many jobs: which jobs of a filter they concern, and the transitions, a batch in one statement.

A batch locks its jobs in the order of their ids, then looks at their statuses. So a job that ends at the same time
either has ended, and is skipped, or is cancelled; it is counted once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, TextClause, text
from sqlalchemy.exc import IntegrityError

from jobcore.models import BulkAction, Change, JobFilter, JobOrder, JobPosition
from jobcore.states import Status
from jobcore.store import changes, failures, job_sources, listing
from jobcore.store.dedupe_keys import DedupeKeyInUse
from jobcore.store.job_sources import Source
from jobcore.store.jobs import CANCELLING, LIVE, LIVE_INDEX, LOCK_INTAKES, RETRIED, RETRYABLE, RETRYING
from jobcore.store.prepared import ORDERED
from jobcore.store.transactions import DURABLE

OLDEST: Final = JobOrder(descending=False)
ANY: Final = JobFilter()


def _ids(source: Source) -> TextClause:
    return text(f"""{ORDERED}
{job_sources.candidates(source, descending=False)}, matching AS MATERIALIZED (
    SELECT id {listing.CHECKED} ORDER BY id LIMIT :limit
)
SELECT (SELECT count(*) FROM candidates) AS examined, (SELECT id FROM candidates ORDER BY id DESC LIMIT 1) AS reached,
       ARRAY(SELECT id FROM matching ORDER BY id) AS ids
""")


IDS: Final[dict[Source, TextClause]] = {source: _ids(source) for source in job_sources.BY_LIST}


@dataclass(frozen=True, slots=True)
class Matching:
    """The jobs of a step through a filter in the order of their ids. `reached` and `ended` are as in `listing.Step`."""

    ids: list[UUID]
    examined: int
    reached: UUID | None
    ended: bool


def matching(connection: Connection, wanted: JobFilter, after: UUID | None, *, limit: int, candidates: int) -> Matching:
    """The ids of the first `limit` jobs of a filter among the next `candidates` behind an id.

    The filter is one of `BulkAction.changeable`, which names statuses, and never SUCCESS.
    """
    position = None if after is None else JobPosition(after)
    parameters = listing.parameters(wanted, OLDEST, position) | {"limit": limit, "candidates": candidates}
    row = connection.execute(IDS[Source.of(wanted, OLDEST)], parameters).one()
    is_cut = len(row.ids) == limit
    reached = row.ids[-1] if is_cut else row.reached or after
    return Matching(row.ids, row.examined, reached, ended=not is_cut and row.examined < candidates)


# A retry also needs the dedupe key of the job to be free, and takes it for one job only.
SEEN: Final = f"""
SELECT {RETRIED}, status, {RETRYABLE} AS is_retryable, dedupe_key,
       dedupe_key IS NULL OR NOT EXISTS (
           SELECT FROM jobs AS other WHERE other.dedupe_key = jobs.dedupe_key AND {LIVE}
       ) AS is_unique
FROM jobs WHERE id = ANY(CAST(:ids AS uuid[])) AND {listing.MATCHES} ORDER BY id
"""
ALLOWED: Final = {
    BulkAction.CANCEL: "status IN ('PENDING', 'RUNNING')",
    BulkAction.RETRY: "is_retryable AND is_unique AND (dedupe_key IS NULL OR number = 1)",
}
TAKEN: Final = {
    BulkAction.CANCEL: "id, status",
    BulkAction.RETRY: "id, cancel_requested_at, cancel_acknowledged_at, cancel_stopped_at, cancel_method, next",
}
FOUND: Final = """
found AS MATERIALIZED (
    SELECT {taken} FROM (
        SELECT *, row_number() OVER (PARTITION BY dedupe_key, is_retryable ORDER BY id DESC) AS number FROM seen
    ) AS numbered WHERE {allowed}
)
"""
LOOK: Final = {
    action: text(f"""{ORDERED}
WITH seen AS MATERIALIZED ({SEEN}), {FOUND.format(taken="id", allowed=allowed)}
SELECT id, status, is_retryable, is_unique, id IN (SELECT id FROM found) AS is_changed FROM seen
""")
    for action, allowed in ALLOWED.items()
}
CHANGE: Final = {
    action: text(f"""{DURABLE}{ORDERED}{first}
WITH seen AS MATERIALIZED ({SEEN} FOR UPDATE OF jobs),
{FOUND.format(taken=TAKEN[action], allowed=ALLOWED[action])}, {changing}
SELECT {changes.COLUMNS}, seen.id AS seen_id, seen.status AS was, is_retryable, is_unique
FROM seen LEFT JOIN {changes.CHANGES} AS change ON change.id = seen.id ORDER BY seen.id
""")
    for action, first, changing in (
        (BulkAction.CANCEL, "", CANCELLING),
        (BulkAction.RETRY, f"{LOCK_INTAKES};", RETRYING),
    )
}


@dataclass(frozen=True, slots=True)
class Seen:
    """A job that a batch looked at: its status then, and whether it is changed. If not, `reason` may say why."""

    id: UUID
    status: Status
    changed: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """What a batch saw, in the order of ids, and its transitions."""

    seen: Sequence[Seen]
    changes: Sequence[Change]


def look(connection: Connection, action: BulkAction, ids: Sequence[UUID], wanted: JobFilter = ANY) -> list[Seen]:
    """What `change` would do to these jobs; ids of no job of the filter are left out."""
    rows = connection.execute(LOOK[action], _parameters(ids, wanted))
    return [_seen(action, row.id, row, row.status, row.is_changed) for row in rows]


def change(connection: Connection, action: BulkAction, ids: Sequence[UUID], wanted: JobFilter = ANY) -> Changed:
    """Cancel or retry those of these jobs that exist, that are still jobs of the filter, and whose status allows it.

    Raises DedupeKeyInUse if another transaction made a job live with a dedupe key of one of them: try again.
    """
    try:
        rows = connection.execute(CHANGE[action], _parameters(ids, wanted)).all()
    except IntegrityError as error:
        if failures.constraint(error) == LIVE_INDEX:
            raise DedupeKeyInUse("a task with the dedupe_key of one of these was submitted meanwhile") from error
        raise
    changed = [row for row in rows if row.id is not None]
    seen = [_seen(action, row.seen_id, row, row.was, row.id is not None) for row in rows]
    return Changed(seen, changes.of_rows(changed))


def _parameters(ids: Sequence[UUID], wanted: JobFilter) -> dict[str, Any]:
    return listing.parameters(wanted, OLDEST, None) | {"ids": list(ids)}


def _seen(action: BulkAction, job_id: UUID, row: Any, status: str, is_changed: bool) -> Seen:
    reason = None
    if action is BulkAction.RETRY and not is_changed:
        if status == Status.CANCELLED and not row.is_retryable:
            reason = "it was cancelled and is still stopping"
        elif row.is_retryable:
            reason = "another task with its dedupe_key is live, or is retried by this request"
    return Seen(job_id, Status(status), is_changed, reason)
