"""The response to `POST /tasks:batch`: its tasks are stored in one transaction, and each of them has an answer.

A record of each task is stored with an idempotency key, so that a repeated request gets the same answer. Of several
tasks of a batch with one dedupe key, only the first is given to the store; the others are answered with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

import anyio.to_thread
from fastapi import Request, Response
from starlette.background import BackgroundTask

from jobcore.errors import InvalidInput, StoreUnavailable
from jobcore.models import AcceptedAlike, IdempotencyKey, NewJob, NewJobWithFiles
from jobcore.states import Status
from jobcore.store import input_files, job_batches, job_rows, json_text
from jobcore.store.job_batches import BatchOutcome, JobBatch
from jobcore.telemetry import metrics, traces
from longrun_api import task_batch
from longrun_api.acceptance import document
from longrun_api.body import TINY_BYTES, read_as
from longrun_api.callers import caller_of
from longrun_api.idempotency import REPLAYED, key_of_body, key_text
from longrun_api.lost_replies import committed
from longrun_api.problems import members_of
from longrun_api.runtime import Runtime, announce, runtime_of
from longrun_api.schemas import links
from longrun_api.task_batch import BatchRefused, CheckedBatch
from longrun_api.times import rfc3339
from longrun_api.validation import validated_json

ID: Final = str(uuid4())
"""Stands for the id of a task in a document that is made for many tasks; it is nobody's id."""
Warnings = Callable[[str, str], Sequence[Mapping[str, str]]]


class Valid(NamedTuple):
    """The record of a task that is accepted, unless a job with its dedupe key is live."""

    job_id: str
    task_type: str
    queue: str
    is_first: bool
    """False if an earlier task of the batch has its dedupe key; then `job_id` is that of the earlier one."""
    warnings: Sequence[Mapping[str, str]]


Record = Valid | dict[str, Any]
"""What an answer says of a task: how it is known to the store, or the problem document for which it is refused."""


@dataclass(frozen=True, slots=True)
class _Given:
    """A batch that was read: what to store, and why nothing of it is accepted. The jobs themselves are not kept."""

    batch: JobBatch
    records: tuple[Record, ...]
    key: IdempotencyKey | None
    refusal: BatchRefused | None


@dataclass(frozen=True, slots=True)
class _NamesFiles:
    """A batch that was read, of whose input files it is not known yet whether they can be used."""

    checked: CheckedBatch
    key: IdempotencyKey | None


async def accept_batch(request: Request) -> Response:
    """Store the tasks of the body in one transaction, then return what became of each."""
    runtime, root_path = runtime_of(request), request.scope.get("root_path", "")
    traceparent, text, caller = traces.current_traceparent(), key_text(request), caller_of(request)

    def read(body: bytes) -> _Given | _NamesFiles:
        checked = task_batch.check(body, runtime.registry, traceparent, caller, runtime.secret_keys)
        key = key_of_body(request, text, body, checked.errors)
        if checked.files:
            return _NamesFiles(checked, key)
        return _given(checked, key, runtime.served_queues.warnings)

    given = await read_as(request, read, quick_bytes=TINY_BYTES)
    if isinstance(given, _NamesFiles):
        checked = await _with_free_files(request, given.checked)
        given = _given(checked, given.key, runtime.served_queues.warnings)
    use = await runtime.submission_quota.take(caller_of(request).owner, len(given.batch.ids))
    outcome = await _outcome(runtime, given, caller_of(request).owner)
    if outcome.accepted:
        announce(runtime.waker, runtime.publisher, outcome.accepted)
        metrics.accepted(_accepted(given.records, outcome))
    answer = await anyio.to_thread.run_sync(_answer, given, outcome, root_path)
    blocked = [job for job in outcome.accepted if job.blocked_by]
    unblock = BackgroundTask(runtime.limits.accepted, blocked) if blocked else None
    headers = ({} if outcome.items is None else dict(REPLAYED)) | dict(use.headers if use else {})
    return Response(answer, HTTPStatus.OK, headers, "application/json", unblock)


async def validate_batch(request: Request) -> Response:
    """Check the tasks of the body, and return what would be stored of each."""
    runtime, root_path = runtime_of(request), request.scope.get("root_path", "")
    warnings, caller = runtime.served_queues.warnings, caller_of(request)

    def read(body: bytes) -> bytes | CheckedBatch:
        checked = task_batch.check(body, runtime.registry, None, caller, runtime.secret_keys)
        return checked if checked.files else validated(checked)

    def validated(checked: CheckedBatch) -> bytes:
        if checked.refusal:
            raise checked.refusal
        return _joined(
            _refused(members_of(task))
            if isinstance(task, InvalidInput)
            else (HTTPStatus.OK, "task", validated_json(task, root_path, warnings(task.queue, task.task_type)).decode())
            for task in checked.tasks
        )

    shown = await read_as(request, read, quick_bytes=TINY_BYTES)
    if isinstance(shown, CheckedBatch):
        shown = validated(await _with_free_files(request, shown))
    return Response(shown, media_type="application/json")


async def _with_free_files(request: Request, checked: CheckedBatch) -> CheckedBatch:
    owner = caller_of(request).owner
    free = await runtime_of(request).database.call(input_files.free_of, checked.files, owner)
    return task_batch.with_free_files(checked, free)


def _given(checked: CheckedBatch, key: IdempotencyKey | None, warnings: Warnings) -> _Given:
    jobs: list[NewJob] = []
    records: list[Record] = []
    first: dict[str, NewJob] = {}
    warn = cache(warnings)
    for task in checked.tasks:
        if isinstance(task, InvalidInput):
            records.append(members_of(task))
            continue
        job = first.setdefault(task.dedupe_key, task) if task.dedupe_key else task
        if job is task:
            jobs.append(job)
        causes = warn(job.queue, job.task_type) if job is task else []
        records.append(Valid(str(job.id), job.task_type, job.queue, job is task, causes))
    items = json_text.dumps(records) if key else ""
    uses = tuple(use for job in jobs if isinstance(job, NewJobWithFiles) for use in job.uses)
    batch = JobBatch(tuple(job.id for job in jobs), job_rows.rows(jobs), items, uses)
    return _Given(batch, tuple(records), key, checked.refusal)


async def _outcome(runtime: Runtime, given: _Given, owner: str | None) -> BatchOutcome:
    """What became of a batch. One that is refused now may have been accepted before, with its key."""
    if given.refusal:
        known = None if given.key is None else await runtime.database.call(job_batches.find, given.key)
        if known is None:
            raise given.refusal
        return known
    if not given.batch.ids and given.key is None:
        return BatchOutcome(None, {})
    try:
        return await runtime.database.call(job_batches.accept, given.batch, given.key, owner)
    except StoreUnavailable as failure:
        return await _committed(runtime, given.batch, failure)


async def _committed(runtime: Runtime, batch: JobBatch, failure: StoreUnavailable) -> BatchOutcome:
    """What a batch without a reply has committed; raises `failure` if that is not known of all its jobs."""
    found = await committed(runtime.database, batch.ids, failure)
    if len(found) < len(batch.ids):  # the others were live before, but it is not known which jobs they are
        raise failure
    return BatchOutcome(found[0].created_at, {}, tuple(AcceptedAlike.groups(found)))


def _accepted(records: Iterable[Record], outcome: BatchOutcome) -> Iterator[Valid]:
    for record in records:
        if isinstance(record, Valid) and record.is_first and not (outcome.live and UUID(record.job_id) in outcome.live):
            yield record


def _answer(given: _Given, outcome: BatchOutcome, root_path: str) -> bytes:
    records = given.records if outcome.items is None else map(_stored, outcome.items)
    created_at = rfc3339(outcome.created_at) if outcome.created_at else ""
    around_id: dict[tuple[str, str, bool], list[str]] = {}
    """The documents of tasks of one kind, without their ids: what is between them."""

    def item(record: Record) -> tuple[int, str, str]:
        if isinstance(record, dict):
            return _refused(record)
        if outcome.live and (live := outcome.live.get(UUID(record.job_id))):
            here, at = links(live.id, root_path), rfc3339(live.created_at)
            shown = document(live.id, live.task_type, live.status, at, here, [], deduplicated=True)
            return HTTPStatus.OK, "task", json_text.dumps(shown)
        kind = (record.task_type, record.queue, record.is_first)
        if kind not in around_id:
            here, is_later = links(ID, root_path), not record.is_first
            shown = document(
                ID, record.task_type, Status.PENDING, created_at, here, record.warnings, deduplicated=is_later
            )
            around_id[kind] = json_text.dumps(shown).split(ID)
        code = HTTPStatus.ACCEPTED if record.is_first else HTTPStatus.OK
        return code, "task", record.job_id.join(around_id[kind])

    return _joined(map(item, records))


def _stored(item: Any) -> Record:
    return item if isinstance(item, dict) else Valid(*item)


def _refused(members: dict[str, Any]) -> tuple[int, str, str]:
    # escapes to ASCII: a client may have sent lone surrogates
    return members["status"], "problem", json.dumps(members)


def _joined(items: Iterator[tuple[int, str, str]]) -> bytes:
    """A `BatchAnswer`: for each task its status, and the task or the problem as JSON."""
    shown, refused = [], 0
    for status, member, text in items:
        shown.append(f'{{"status":{status},"{member}":{text}}}')
        refused += member == "problem"
    return f'{{"items":[{",".join(shown)}],"refused":{refused}}}'.encode()
