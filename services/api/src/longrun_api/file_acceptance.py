"""Jobs that are submitted with input files: stored with them in one transaction, beside the intake's group commit."""

from __future__ import annotations

import anyio.to_thread
from fastapi import Request

from jobcore.errors import InvalidInput, LongrunError, StoreUnavailable
from jobcore.models import Accepted, IdempotencyKey, KnownJob, NewJobWithFiles
from jobcore.store import input_files, jobs_with_files
from jobcore.telemetry import metrics
from longrun_api.callers import caller_of
from longrun_api.lost_replies import committed
from longrun_api.runtime import announce, runtime_of


async def store(request: Request, job: NewJobWithFiles, key: IdempotencyKey | None) -> Accepted | KnownJob:
    """`Intake.submit` of a job with files; also raises InvalidInput, which names each file that cannot be used."""
    runtime = runtime_of(request)
    try:
        outcome = await runtime.database.call(jobs_with_files.accept, job, key, caller_of(request).owner)
    except StoreUnavailable as failure:
        (outcome,) = await committed(runtime.database, [job.id], failure)
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
