"""What travels on the wire, as frozen values: fields that a newer server adds are ignored, never an error."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Item = TypeVar("Item")


class Status(StrEnum):
    """What a task is, exactly one at a time."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """Whether a task of this status has ended: it runs no more, unless somebody retries it."""
        return self in TERMINAL


TERMINAL: Final = frozenset({Status.SUCCESS, Status.FAILED, Status.CANCELLED})


class Wire(BaseModel):
    """What every value of the wire has in common."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class KeysetPage(Wire, Generic[Item]):
    """Some items; `next` is the cursor of the page after it, None on the last one."""

    items: tuple[Item, ...]
    next: str | None = None


class Progress(Wire):
    """How far a task is; `total` is None while nobody knows it."""

    done: float
    total: float | None = None
    message: str | None = None


class TaskError(Wire):
    """Why a task failed: `kind` is raised, timeout, worker_lost, expired or invalid."""

    kind: str
    type: str | None = None
    message: str = ""
    attempt: int | None = None


class CancelReceipt(Wire):
    """When a cancel was asked for, seen by the worker, and done (`stopped_at`), and by which `method`."""

    requested_at: AwareDatetime
    acknowledged_at: AwareDatetime | None = None
    stopped_at: AwareDatetime | None = None
    method: str | None = None


class Backoff(Wire):
    """How long to wait before another attempt, in seconds, and by which share that varies."""

    backoff_s: float | None = None
    backoff_max_s: float | None = None
    jitter: float | None = None


class Links(Wire):
    """Where the server has more about a task."""

    self: str
    stream: str
    logs: str
    attempts: str | None = None
    cancel: str
    retry: str | None = None


class Task(Wire):
    """A task. The answer to a submission and the items of a list carry only a part: the rest has its default."""

    task_id: str
    task_type: str
    status: Status
    created_at: AwareDatetime
    links: Links
    input: Any = None
    result: Any = None
    error: TaskError | None = None
    progress: Progress | None = None
    attempt: int = 0
    tries: int | None = None
    """How many attempts count against `max_attempts`."""
    max_attempts: int | None = None
    retry: Backoff | None = None
    """What differs from the task type's own."""
    seq: int = 0
    cancel: CancelReceipt | None = None
    queue: str | None = None
    priority: int | None = None
    fairness_key: str | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = Field(default_factory=dict)
    trace_id: str | None = None
    schedule_id: str | None = None
    scheduled_for: AwareDatetime | None = None
    run_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    timeout_s: float | None = None
    concurrency_key: str | None = None
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None

    @property
    def ended(self) -> bool:
        """Whether the task has ended, one way or the other."""
        return self.status.ended


class LogLine(Wire):
    """One line of a task's log."""

    seq: int
    at: AwareDatetime
    attempt: int | None = None
    level: str = "info"
    message: str


class AttemptWorker(Wire):
    """Where an attempt ran; `host` is None once the worker is forgotten."""

    id: str
    host: str | None = None


class AttemptError(TaskError):
    """Why an attempt failed."""

    traceback: str | None = None


class Attempt(Wire):
    """One attempt of a task.

    `outcome`: running, success, failed, retried (it failed and is tried again), timeout, crashed, lost, handed_back,
    cancelled. `seq` is that of the event which began it.
    """

    seq: int
    attempt: int
    outcome: str
    started_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    worker: AttemptWorker
    error: AttemptError | None = None


class Event(Wire):
    """One thing that happened to a task: `kind` is state, log, progress or checkpoint.

    `seq` numbers a task's events from 1 without gaps; it is None for progress that was only sent live.
    """

    seq: int | None
    kind: str
    at: AwareDatetime
    attempt: int | None = None
    data: dict[str, Any] = Field(default_factory=dict)

    @property
    def status(self) -> Status | None:
        """The status that a `state` event moved the task to, None for other kinds."""
        return Status(self.data["status"]) if self.kind == "state" else None

    @property
    def terminal(self) -> bool:
        """Whether the task ended here, and was not retried later."""
        return self.status is not None and self.status.ended and not self.data.get("retried")


class Page(KeysetPage[Task]):
    """Some tasks, newest first."""


class LogPage(Wire):
    """Some log lines, oldest first; `next_after` is the cursor to go on from."""

    items: tuple[LogLine, ...]
    next_after: int


class AttemptPage(Wire):
    """Some attempts, oldest first; `next_after` is the cursor to go on from."""

    items: tuple[Attempt, ...]
    next_after: int


class TaskType(Wire):
    """What can be submitted: its name, the JSON Schema of what it takes and gives, and how it is tried."""

    name: str
    description: str = ""
    queue: str
    input_schema: dict[str, Any] = Field(default_factory=dict)
    output_schema: dict[str, Any] = Field(default_factory=dict)
    max_attempts: int
    retry: Backoff | None = None
    timeout_s: float | None = None
    example: dict[str, Any] | None = None


class RunningTask(Wire):
    """A task that a worker runs now, and in which of its slots."""

    task_id: str
    task_type: str
    slot: int | None = None
    attempt: int
    started_at: AwareDatetime | None = None


class Worker(Wire):
    """A worker that is alive, and what it runs."""

    id: str
    host: str
    pid: int
    queues: tuple[str, ...]
    concurrency: int
    version: str | None = None
    state: str
    started_at: AwareDatetime
    heartbeat_at: AwareDatetime
    tasks: tuple[RunningTask, ...] = ()
