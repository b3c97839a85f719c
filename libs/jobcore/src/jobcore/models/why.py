"""Why a job does not run: the one thing that must change first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from jobcore.states import Status


class Cause(StrEnum):
    """What keeps a job from running, in the order in which the causes are checked; or that nothing does."""

    ENDED = "ended"
    STOPPING = "stopping"
    RUNNING = "running"
    EXPIRED = "expired"
    RETRY = "retry"
    RUN_AT = "run_at"
    QUEUE_NOT_SERVED = "queue_not_served"
    TASK_TYPE_UNKNOWN = "task_type_unknown"
    QUEUE_PAUSED = "queue_paused"
    CONCURRENCY_LIMIT = "concurrency_limit"
    RATE_LIMIT = "rate_limit"
    QUEUE_LIMIT = "queue_limit"
    QUEUE_RATE_LIMIT = "queue_rate_limit"
    SUSPECTED = "suspected"
    TURN = "turn"


class Method(StrEnum):
    """How the start of a job was estimated: by its time, its rate limit, the pace of its queue, or earlier runs."""

    RUN_AT = "run_at"
    RATE = "rate"
    THROUGHPUT = "throughput"
    RUN_TIMES = "run_times"


@dataclass(frozen=True, slots=True)
class Estimate:
    """When a job is expected to start, and in `detail` from which numbers this follows."""

    at: datetime
    method: Method
    detail: str


@dataclass(frozen=True, slots=True)
class Why:
    """The one cause why a job does not run now.

    `since` is when the cause began, or None if nobody noted it. `freed_by` says what would let the job run; it is None
    if nothing can or must. `blocking` are some of the jobs that have the permits of a full limit. `position` is the
    place in the line that the job waits in, from 1; None if it is in none.
    """

    status: Status
    cause: Cause
    since: datetime | None
    detail: str
    freed_by: str | None = None
    blocking: tuple[UUID, ...] = ()
    position: int | None = None
    estimate: Estimate | None = None
