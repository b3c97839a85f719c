"""Responses of the API as frozen values. Unknown fields, which a newer server may send, are ignored."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from pydantic import AwareDatetime, Field

from longrun_client.models_files import TaskFile
from longrun_client.models_timings import Timings
from longrun_client.models_webhooks import TaskWebhook
from longrun_client.models_why import AcceptanceWarning
from longrun_client.wire import KeysetPage, SeqPage, Wire


class Status(StrEnum):
    """Status of a task."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """Whether the status is terminal: SUCCESS, FAILED or CANCELLED."""
        return self in TERMINAL


TERMINAL: Final = frozenset({Status.SUCCESS, Status.FAILED, Status.CANCELLED})


class Progress(Wire):
    """Progress of a task; `total` is None while it is unknown."""

    done: float
    total: float | None = None
    message: str | None = None


class TaskError(Wire):
    """Why a task failed. `kind` is `raised`, `timeout`, `worker_lost`, `expired` or `invalid`."""

    kind: str
    type: str | None = None
    message: str = ""
    attempt: int | None = None


class CancelReceipt(Wire):
    """When a cancel was requested, acknowledged by the worker and complete (`stopped_at`), and by which `method`."""

    requested_at: AwareDatetime
    acknowledged_at: AwareDatetime | None = None
    stopped_at: AwareDatetime | None = None
    method: str | None = None


class Backoff(Wire):
    """How long to wait before the next attempt, in seconds, and by which share that varies at random."""

    backoff_s: float | None = None
    backoff_max_s: float | None = None
    jitter: float | None = None


class Links(Wire):
    """Paths of a task, its events, its attempts and its actions."""

    self: str
    stream: str
    logs: str
    output: str | None = None
    attempts: str | None = None
    files: str | None = None
    why: str | None = None
    cancel: str
    retry: str | None = None
    deliveries: str | None = None


class Task(Wire):
    """A task. The response to a submission and the items of a list have only some fields; the others have defaults."""

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
    """Differences from the task type's own backoff."""
    seq: int = 0
    cancel: CancelReceipt | None = None
    queue: str | None = None
    priority: int | None = None
    fairness_key: str | None = None
    owner: str | None = None
    """Whose task it is; None: the operator's."""
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = Field(default_factory=dict)
    trace_id: str | None = None
    schedule_id: str | None = None
    scheduled_for: AwareDatetime | None = None
    run_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    timeout_s: float | None = None
    concurrency_key: str | None = None
    rate_key: str | None = None
    dedupe_key: str | None = None
    webhook: TaskWebhook | None = None
    """Where its events are sent."""
    deduplicated: bool = False
    """Whether it answers a submission that made no task, because it is live and has the same `dedupe_key`."""
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    timings: Timings | None = None
    files: tuple[TaskFile, ...] = ()
    input_files: tuple[TaskFile, ...] = ()
    warnings: tuple[AcceptanceWarning, ...] = ()
    """In the response to a submission: why the task will not start by itself."""

    @property
    def ended(self) -> bool:
        """Whether the status of the task is terminal."""
        return self.status.ended

    @property
    def stopped(self) -> bool:
        """Whether it has ended and none of its runs is under way: a cancelled run takes a moment to stop."""
        return self.ended and (self.cancel is None or self.cancel.stopped_at is not None)


class LogLine(Wire):
    """A line of a task's log."""

    seq: int
    at: AwareDatetime
    attempt: int | None = None
    level: str = "info"
    message: str


class AttemptWorker(Wire):
    """The worker that ran an attempt; `host` is None from one day after the end of the worker."""

    id: str
    host: str | None = None


class AttemptError(TaskError):
    """Why an attempt failed; `traceback` is None for deliberate errors of the task."""

    traceback: str | None = None


class Attempt(Wire):
    """One attempt of a task.

    `outcome` is `running`, `success`, `failed`, `retried` (it failed and another attempt follows), `timeout`,
    `crashed`, `lost`, `handed_back` or `cancelled`. `seq` is the seq of the event that started the attempt.
    """

    seq: int
    attempt: int
    outcome: str
    started_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    worker: AttemptWorker
    error: AttemptError | None = None


class Event(Wire):
    """An event of a task. `kind` is `state`, `log`, `progress`, `output` or `checkpoint`.

    `seq` numbers the events of a task from 1 without gaps; it is None for progress that was only sent live.
    """

    seq: int | None
    kind: str
    at: AwareDatetime
    attempt: int | None = None
    data: dict[str, Any] = Field(default_factory=dict)

    @property
    def status(self) -> Status | None:
        """The new status in a `state` event; None for other kinds."""
        return Status(self.data["status"]) if self.kind == "state" else None

    @property
    def terminal(self) -> bool:
        """Whether the task ended with this event and was not retried later."""
        return self.status is not None and self.status.ended and not self.data.get("retried")


class Page(KeysetPage[Task]):
    """A page of tasks, newest first."""


class LogPage(SeqPage[LogLine]):
    """A page of log lines, oldest first."""


class AttemptPage(SeqPage[Attempt]):
    """A page of attempts, oldest first."""


class TaskType(Wire):
    """A task type: its queue, the JSON Schemas of its input and output, its retries, and an example input."""

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
    """A task that a worker runs now; `slot` is the number of the child process that runs it."""

    task_id: str
    task_type: str
    lane: str | None = None
    """`process`, `async` or `thread`."""
    slot: int | None = None
    attempt: int
    started_at: AwareDatetime | None = None


class Worker(Wire):
    """A live worker and the tasks that it runs."""

    id: str
    host: str
    pid: int
    queues: tuple[str, ...]
    concurrency: int
    """Number of child processes."""
    jobs_per_child: int = 1
    """How many async and thread tasks a child runs at once."""
    runs: dict[str, int] = Field(default_factory=dict)
    """How many tasks it runs, by lane."""
    room: dict[str, int] = Field(default_factory=dict)
    """How many more tasks of each lane it could start now; `async` and `thread` share theirs."""
    version: str | None = None
    state: str
    started_at: AwareDatetime
    heartbeat_at: AwareDatetime
    tasks: tuple[RunningTask, ...] = ()
