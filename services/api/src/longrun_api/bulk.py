"""Bulk actions of a request: on ids, on the tasks of a filter if they are few, or as a job of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from uuid_utils.compat import uuid7

from jobcore.models import BULK_QUEUE, BulkAction, Change, JobFilter, JsonText, NewJob, owned_keys
from jobcore.states import Status
from jobcore.store import bulk, jobs, json_text
from jobcore.store.bulk import Seen
from jobcore.store.idempotency import StoredAnswer
from longrun_api import task_counts
from longrun_api.database import AsyncDatabase
from longrun_api.schemas import Accepted, StatusCount, links
from longrun_api.schemas_bulk import BulkOutcome, BulkResult
from longrun_api.task_walk import MAX_EXAMINED, Pace

AT_ONCE: Final = 1000
"""The most tasks of a filter that a request changes itself; a job changes more."""

Work = tuple[StoredAnswer, Sequence[Change]]
"""The answer to a request and the transitions to announce."""


@dataclass(frozen=True, slots=True)
class Skips:
    """How many tasks of a filter an action skips by their status, and whether these are all."""

    counts: Counter[Status]
    exact: bool

    @classmethod
    async def of(cls, database: AsyncDatabase, others: JobFilter | None) -> Skips:
        """Count the tasks of a filter."""
        found = {} if others is None else await task_counts.count(database, others)
        return cls(Counter(_numbers(found)), all(one.exact for one in found.values()))


def on_ids(action: BulkAction, ids: Sequence[UUID], among: JobFilter, connection: Any) -> Work:
    """Change these tasks, as far as they are of the filter; others are unknown."""
    done = bulk.change(connection, action, ids, among)
    return _answer(result(done.seen, ids)), done.changes


def dry_run_of_ids(action: BulkAction, ids: Sequence[UUID], among: JobFilter, connection: Any) -> Work:
    """What `on_ids` would do."""
    return _answer(result(bulk.look(connection, action, ids, among), ids, dry_run=True)), ()


def result(seen: Sequence[Seen], ids: Sequence[UUID], *, dry_run: bool = False) -> BulkResult:
    """The counts and outcomes for the given ids."""
    by_id = {one.id: one for one in seen}
    skipped = Counter(one.status for one in seen if not one.changed)
    return BulkResult(
        dry_run=dry_run,
        matched=len(seen),
        changed=len(seen) - skipped.total(),
        skipped=dict(skipped),
        unknown=len(ids) - len(seen),
        exact=True,
        outcomes=[BulkOutcome.of(task_id, by_id.get(task_id)) for task_id in ids],
    )


async def dry_run_of_filter(database: AsyncDatabase, action: BulkAction, wanted: JobFilter) -> partial[Work]:
    """The work that only counts the tasks of a filter which the action would change, and those it would skip."""
    changeable = await Skips.of(database, action.changeable(wanted))
    others = await Skips.of(database, action.others(wanted))
    exact = changeable.exact and others.exact
    return partial(_only_counted, _counted(changeable.counts.total(), others, exact=exact, dry_run=True))


def _only_counted(shown: BulkResult, _connection: Any) -> Work:
    return _answer(shown), ()


async def on_filter(
    database: AsyncDatabase, action: BulkAction, wanted: JobFilter, owner: str | None, root_path: str
) -> partial[Work]:
    """The work that changes the tasks of a filter: at once, or in a job if they are many or take long to find.

    The job is the caller's: of its `owner`, or of the operator.
    """
    skips = await Skips.of(database, action.others(wanted))  # first, so that a task which ends now is not counted twice
    changeable = action.changeable(wanted)
    ids = [] if changeable is None else await _few(database, changeable)
    if ids is not None:
        return partial(_at_once, action, wanted, ids, skips)
    found = {} if changeable is None else await task_counts.count(database, changeable)
    expected = sum(one.count for one in found.values()) if all(one.exact for one in found.values()) else None
    return partial(_as_job, action, wanted, skips, expected, owner, root_path)


async def _few(database: AsyncDatabase, wanted: JobFilter) -> list[UUID] | None:
    """The ids of all tasks of a filter; None if they are more than AT_ONCE, or not found within a request's bounds."""
    ids: list[UUID] = []
    pace, after = Pace(MAX_EXAMINED), None
    while True:
        most = AT_ONCE + 1 - len(ids)
        step = await database.call(bulk.matching, wanted, after, limit=most, candidates=pace.step)
        ids += step.ids
        if len(ids) > AT_ONCE:
            return None
        if step.ended:
            return ids
        after = step.reached
        if pace.is_over(step.examined):
            return None


def _at_once(action: BulkAction, wanted: JobFilter, ids: Sequence[UUID], skips: Skips, connection: Any) -> Work:
    done = bulk.change(connection, action, ids, wanted)
    skipped = Counter(one.status for one in done.seen if not one.changed)
    counts = Skips(skips.counts + skipped, skips.exact)
    return _answer(_counted(len(done.changes), counts, exact=skips.exact)), done.changes


def _counted(changed: int, skips: Skips, *, exact: bool, dry_run: bool = False) -> BulkResult:
    return BulkResult(
        dry_run=dry_run,
        matched=changed + skips.counts.total(),
        changed=changed,
        skipped={status: count for status, count in skips.counts.items() if count},
        unknown=0,
        exact=exact,
        outcomes=[],
    )


def _as_job(
    action: BulkAction,
    wanted: JobFilter,
    skips: Skips,
    expected: int | None,
    owner: str | None,
    root_path: str,
    connection: Any,
) -> Work:
    given = {
        "filter": wanted.parameters,
        "expected": expected,
        "skipped": {status: count for status, count in skips.counts.items() if count},
        "exact": skips.exact,
    }
    job = NewJob(
        id=uuid7(),
        task_type=action.task_type,
        queue=BULK_QUEUE,
        input=JsonText(json_text.dumps(given)),
        max_attempts=1,
        fairness_key=None if owner is None else owned_keys.turn(owner),
        owner=owner,
    )
    accepted = jobs.insert_inside(connection, [job])[0]
    here = links(job.id, root_path)
    shown = Accepted(
        task_id=job.id,
        task_type=job.task_type,
        status=Status.PENDING,
        created_at=accepted.created_at,
        links=here,
    )
    body = shown.model_dump_json(exclude={"deduplicated", "warnings"})
    return StoredAnswer(HTTPStatus.ACCEPTED, here["self"], body), ()


def _answer(shown: BulkResult) -> StoredAnswer:
    return StoredAnswer(HTTPStatus.OK, body=shown.model_dump_json())


def _numbers(found: dict[Status, StatusCount]) -> dict[Status, int]:
    return {status: one.count for status, one in found.items()}
