"""What `why` says: for each cause, what keeps the job from running, and what would let it run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Final

from jobcore.models import Cause, owned_keys
from jobcore.states import Status
from jobcore.store.rate_situations import Rate
from jobcore.store.situations import Situation

SENTENCES: Final[Mapping[Cause, tuple[str, str | None]]] = {
    Cause.ENDED: ("it ended as {job.status}", "a client retries it: POST /tasks/{job.id}/retry"),
    Cause.STOPPING: ("it was cancelled, and its run is still stopping", "it can be retried once the run has stopped"),
    Cause.RUNNING: ("its attempt {job.attempt} runs on the worker {job.worker_id}", None),
    Cause.EXPIRED: ("it did not start before its expires_at, so it ends as FAILED within seconds", None),
    Cause.RETRY: ("its attempt {job.attempt} did not succeed, and the next one waits for its time", "its run_at comes"),
    Cause.RUN_AT: ("its run_at has not come", "its run_at comes"),
    Cause.QUEUE_NOT_SERVED: (
        "no active worker serves the queue {job.queue}",
        "a worker starts that serves the queue (LONGRUN_QUEUES), or check the name of the queue",
    ),
    Cause.TASK_TYPE_UNKNOWN: (
        "{job.serving} active workers serve the queue {job.queue}, and none has the task type {job.task_type}",
        "a worker of the queue starts that has the task type: GET /workers lists the task types of each",
    ),
    Cause.QUEUE_PAUSED: (
        "the queue {job.queue} is paused",
        'it is resumed: PATCH /queues/{job.queue} {{"paused": false}}',
    ),
    Cause.CONCURRENCY_LIMIT: (
        "its concurrency_key {concurrency_key!r} has a limit of {job.key_limit}, and {job.key_taken} have permits",
        "the limit is raised: PUT /concurrency-limits/{{key}}",
    ),
    Cause.RATE_LIMIT: (
        "its rate_key {rate_key!r} lets {rate.max_starts} tasks start within {rate.window_s:g} s, "
        "and {rate.taken} permits are taken; {next}",
        "its turn comes, or the limit is raised: PUT /rate-limits/{{key}}",
    ),
    Cause.QUEUE_RATE_LIMIT: (
        "the queue {job.queue} lets {rate.max_starts} tasks start within {rate.window_s:g} s, "
        "and {rate.taken} did; {next}",
        "its turn comes, or the limit is raised: PATCH /queues/{job.queue}",
    ),
    Cause.QUEUE_LIMIT: (
        "the queue {job.queue} has a limit of {job.queue_limit}, and {job.queue_taken} run",
        "the limit is raised: PATCH /queues/{job.queue}",
    ),
    Cause.SUSPECTED: (
        "{job.suspected} times its child died while it was one of several jobs that may have caused it, "
        "so it runs beside fewer others, and the children that can run it have too many jobs",
        "a child has fewer than {fewer_than} jobs, or a fresh child starts",
    ),
    Cause.TURN: ("it is ready and waits for its turn", "the tasks before it start, and a worker has room for it"),
}
UNSERVED: Final = "; no active worker serves its queue now"
SOON: Final = "there is a free permit: the job becomes ready within a second"
ONE_ENDS: Final = "one of `blocking` ends, or "


def sentences(
    job: Situation, cause: Cause, rate: Rate | None = None, fewer_than: int | None = None
) -> tuple[str, str | None]:
    """What keeps the job from running, and what would let it run (None: nothing can or must)."""
    detail, freed_by = SENTENCES[cause]
    if cause is Cause.RATE_LIMIT and rate is None:
        return f"its rate_key {owned_keys.shown(job.rate_key)!r} blocked it, and has no limit now", SOON
    if cause is Cause.ENDED and job.status is Status.SUCCESS:
        freed_by = None
    if cause in (Cause.RETRY, Cause.RUN_AT) and not job.serving:
        detail += UNSERVED
    limit, taken = {
        Cause.CONCURRENCY_LIMIT: (job.key_limit, job.key_taken),
        Cause.QUEUE_LIMIT: (job.queue_limit or 0, job.queue_taken),
    }.get(cause, (0, 0))
    if taken < limit:
        freed_by = SOON
    elif limit:
        freed_by = f"{ONE_ENDS}{freed_by}"
    if rate and rate.next_start_at is None and cause is Cause.RATE_LIMIT:
        freed_by = SOON
    next_start = "a start is allowed now"
    if rate and rate.next_start_at:
        next_start = f"no start before {rate.next_start_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    keys = {name: owned_keys.shown(getattr(job, name)) for name in ("concurrency_key", "rate_key")}
    values = {"job": job, "rate": rate, "next": next_start, "fewer_than": fewer_than, **keys}
    return detail.format(**values), freed_by and freed_by.format(**values)
