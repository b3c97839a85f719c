"""Jobs that are submitted with input files: stored with them in one transaction, beside the intake's group commit."""

from __future__ import annotations

import anyio.to_thread
from fastapi import Request

from jobcore.errors import InvalidInput, LongrunError, StoreUnavailable
from jobcore.models import Accepted, IdempotencyKey, KnownJob, NewJobWithFiles
from jobcore.store import health, input_files, jobs_with_files
from jobcore.telemetry import metrics
from longrun_api.callers import caller_of
from longrun_api.runtime import Runtime, announce, runtime_of


async def store(request: Request, job: NewJobWithFiles, key: IdempotencyKey | None) -> Accepted | KnownJob:
    """`Intake.submit` of a job with files; also raises InvalidInput, which names each file that cannot be used."""
    runtime = runtime_of(request)
    try:
        outcome = await runtime.database.call(jobs_with_files.accept, job, key, caller_of(request).owner)
    except StoreUnavailable as failure:
        outcome = await _committed(runtime, job, failure)
    if isinstance(outcome, LongrunError):
        raise outcome
    if isinstance(outcome, Accepted):
        announce(runtime.waker, runtime.publisher, [outcome])
        metrics.accepted([job])
        await anyio.to_thread.run_sync(runtime.limits.accepted, [outcome])
    return outcome


async def check(request: Request, job: NewJobWithFiles) -> None:
    """Raise InvalidInput if a submission could not use one of the files now."""
    ids = frozenset(job.files.values())
    free = await runtime_of(request).database.call(input_files.free_of, ids, caller_of(request).owner)
    if errors := [input_files.unusable(use) for use in job.uses if use.file_id not in free]:
        raise InvalidInput(*errors)


async def _committed(runtime: Runtime, job: NewJobWithFiles, failure: StoreUnavailable) -> Accepted:
    """The job, if its transaction has committed although its reply was lost; raises `failure` otherwise."""
    try:
        found = await runtime.database.call(health.committed, [job.id])
    except StoreUnavailable:
        raise failure from None
    if not found:
        raise failure
    return found[0]
