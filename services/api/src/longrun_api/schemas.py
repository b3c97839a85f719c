"""Tasks as the API shows them. Fields may be added, never renamed; times are RFC 3339 in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from jobcore.models import CancelReceipt, Event, Job
from jobcore.states import ErrorKind, Status


def rfc3339(time: datetime) -> str:
    """An RFC 3339 time in UTC, as Pydantic writes it too."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


Utc = Annotated[datetime, AfterValidator(lambda time: time.astimezone(UTC))]


class Links(BaseModel):
    """Where to look next."""

    self: str
    stream: str
    logs: str
    attempts: str
    cancel: str
    retry: str


def links(task_id: UUID, root_path: str) -> dict[str, str]:
    """The links of a task; `root_path` is what a proxy puts before every path."""
    here = f"{root_path}/tasks/{task_id}"
    return {
        "self": here,
        "stream": f"{here}/stream",
        "logs": f"{here}/logs",
        "attempts": f"{here}/attempts",
        "cancel": here,
        "retry": f"{here}/retry",
    }


class Accepted(BaseModel):
    """A task that is stored and will run."""

    task_id: UUID
    task_type: str
    status: Status
    created_at: Utc
    links: Links


class TaskError(BaseModel):
    """Why the task failed, or why its latest attempt did."""

    model_config = ConfigDict(extra="allow")

    kind: ErrorKind
    type: str
    message: str
    attempt: int | None = None


class Progress(BaseModel):
    """How far the task is, in the task's own units."""

    model_config = ConfigDict(extra="allow")

    done: int | float
    total: int | float | None = None
    message: str | None = None


class Cancel(BaseModel):
    """The receipt of a cancel: asked for, seen by the worker, stopped, and how."""

    requested_at: Utc
    acknowledged_at: Utc | None
    stopped_at: Utc | None
    method: str | None

    @classmethod
    def of(cls, receipt: CancelReceipt | None) -> Self | None:
        """The receipt as clients see it."""
        if receipt is None:
            return None
        return cls(
            requested_at=receipt.requested_at,
            acknowledged_at=receipt.acknowledged_at,
            stopped_at=receipt.stopped_at,
            method=receipt.method,
        )


class Backoff(BaseModel):
    """How long to wait before another attempt, in seconds; null: as the task type says."""

    backoff_s: float | None = None
    backoff_max_s: float | None = None
    jitter: float | None = None


class TaskSummary(BaseModel):
    """A task without its input and result."""

    task_id: UUID
    task_type: str
    status: Status
    error: TaskError | None
    progress: Progress | None
    attempt: int = Field(description="How many attempts were started.")
    tries: int = Field(description="How many of them count against `max_attempts`.")
    max_attempts: int
    retry: Backoff | None = Field(description="What differs from the task type's own.")
    seq: int = Field(description="The seq of the latest event: the cursor of `/stream` and `/logs`.")
    cancel: Cancel | None
    queue: str
    priority: int
    run_at: Utc
    expires_at: Utc | None
    timeout_s: float | None
    concurrency_key: str | None
    fairness_key: str | None
    tags: list[str]
    metadata: dict[str, Any]
    trace_id: str | None
    schedule_id: UUID | None = Field(description="The schedule that it came from.")
    scheduled_for: Utc | None = Field(description="The tick that it was made for; null if somebody ran it by hand.")
    created_at: Utc
    started_at: Utc | None
    finished_at: Utc | None
    links: Links

    @classmethod
    def of(cls, job: Job, root_path: str) -> Self:
        """The job as clients see it."""
        return cls(**_fields(job, root_path))


class Task(TaskSummary):
    """A task with all that is known of it."""

    input: dict[str, Any]
    result: Any


def task_json(job: Job, root_path: str) -> bytes:
    """A `Task` as JSON. Input and result stay the texts that they are, so their numbers come back as they went in."""
    summary = TaskSummary.of(job, root_path).model_dump_json()
    return f'{summary[:-1]},"input":{job.input},"result":{job.result or "null"}}}'.encode()


def _fields(job: Job, root_path: str) -> dict[str, Any]:
    return {
        "task_id": job.id,
        "task_type": job.task_type,
        "status": job.status,
        "error": job.error,
        "progress": job.progress,
        "attempt": job.attempt,
        "tries": job.tries,
        "max_attempts": job.max_attempts,
        "retry": job.retry,
        "seq": job.last_seq,
        "cancel": Cancel.of(job.cancel),
        "queue": job.queue,
        "priority": job.priority,
        "run_at": job.run_at,
        "expires_at": job.expires_at,
        "timeout_s": job.timeout_s,
        "concurrency_key": job.concurrency_key,
        "fairness_key": job.fairness_key,
        "tags": job.tags,
        "metadata": job.metadata,
        "trace_id": _trace_id(job.traceparent),
        "schedule_id": job.schedule_id,
        "scheduled_for": job.scheduled_for,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "links": links(job.id, root_path),
    }


def _trace_id(traceparent: str | None) -> str | None:
    # W3C Trace Context: version "-" trace-id "-" parent-id "-" flags
    return traceparent.split("-")[1] if traceparent else None


class TaskPage(BaseModel):
    """A page of the history, newest first."""

    items: list[TaskSummary]
    next: str | None = Field(description="Give it as `cursor` for the next page; null at the end.")


class LogLine(BaseModel):
    """A line that the task logged."""

    seq: int
    at: Utc
    attempt: int
    level: str
    message: str

    @classmethod
    def of(cls, event: Event) -> Self:
        """The log event as clients see it."""
        return cls(seq=event.seq, at=event.at, attempt=event.attempt, **event.data)


class LogPage(BaseModel):
    """Log lines in order."""

    items: list[LogLine]
    next_after: int = Field(description="Give it as `after` for what comes next.")
