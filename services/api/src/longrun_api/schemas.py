"""Tasks as the API shows them. Times are RFC 3339 in UTC. New fields may be added; none may be renamed."""

from __future__ import annotations

from typing import Any, Final, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from jobcore.models import CancelReceipt, Event, Job, owned_keys
from jobcore.states import ErrorKind, Status
from longrun_api.schemas_files import TaskFile
from longrun_api.schemas_timings import Timings
from longrun_api.schemas_webhooks import WebhookSummary
from longrun_api.schemas_why import AcceptanceWarning
from longrun_api.times import Utc

ROOM_NOTE: Final = "`async` and `thread` share theirs; a child that runs a `process` task has none."


class Links(BaseModel):
    """Paths of the task, its events, its attempts and its actions."""

    self: str
    stream: str
    logs: str
    output: str
    attempts: str
    files: str
    why: str
    cancel: str
    retry: str
    deliveries: str


def links(task_id: UUID | str, root_path: str) -> dict[str, str]:
    """The links of a task; `root_path` is the prefix that a proxy adds to every path."""
    here = f"{root_path}/tasks/{task_id}"
    return {
        "self": here,
        "stream": f"{here}/stream",
        "logs": f"{here}/logs",
        "output": f"{here}/output",
        "attempts": f"{here}/attempts",
        "files": f"{here}/files",
        "why": f"{here}/why",
        "cancel": here,
        "retry": f"{here}/retry",
        "deliveries": f"{here}/deliveries",
    }


class Accepted(BaseModel):
    """An accepted task: it is stored and will run."""

    task_id: UUID
    task_type: str
    status: Status
    created_at: Utc
    deduplicated: bool = Field(False, description="Whether this is the live task with the same `dedupe_key`.")
    links: Links
    warnings: list[AcceptanceWarning] = Field(
        default_factory=list, description="Why the task will not start by itself; absent if nothing is in its way."
    )


class TaskError(BaseModel):
    """Why the task, or its latest attempt, failed. An error that a task raises may add fields of its own."""

    model_config = ConfigDict(extra="allow")

    kind: ErrorKind
    type: str = Field(description="Name of the class of the error.")
    message: str
    attempt: int | None = Field(None, description="Number of the attempt that failed.")


class Progress(BaseModel):
    """Progress of the task, in units of its own."""

    model_config = ConfigDict(extra="allow")

    done: int | float
    total: int | float | None = Field(None, description="null: unknown.")
    message: str | None = None


class Cancel(BaseModel):
    """A cancel receipt: when the cancel was requested and acknowledged, and when and how the run stopped."""

    requested_at: Utc
    acknowledged_at: Utc | None = Field(description="When the worker that ran the task saw the cancel.")
    stopped_at: Utc | None = Field(description="When the run had stopped; null: it is still stopping.")
    method: str | None = Field(
        description="`queued`: the task had not started. `cooperative`: its code noticed the cancel. `signal`: an "
        "interrupt "
        "stopped it. `kill`: its process was killed. `finished`: it ended first. `worker_lost`: its worker died."
    )

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
    """How long to wait before the next attempt, in seconds; null: the task type's own value."""

    backoff_s: float | None = Field(None, description="Before the second attempt; doubled with each further one.")
    backoff_max_s: float | None = Field(None, description="Maximum between two attempts.")
    jitter: float | None = Field(None, description="Share by which a delay varies at random, up or down.")


class TaskSummary(BaseModel):
    """A task without its input and result."""

    task_id: UUID
    task_type: str
    status: Status
    error: TaskError | None
    progress: Progress | None
    attempt: int = Field(description="Number of the latest attempt; 0 before the first.")
    tries: int = Field(description="Number of attempts that count against `max_attempts`.")
    max_attempts: int = Field(description="Maximum number of tries.")
    retry: Backoff | None = Field(description="Differences from the task type's own backoff.")
    seq: int = Field(description="`seq` of the latest event; usable as `after` of `/stream`, `/logs` and `/output`.")
    cancel: Cancel | None
    queue: str
    priority: int = Field(description="0 to 9; 9 is the most urgent.")
    run_at: Utc = Field(description="Earliest start of the first attempt or, after a failed one, of the next.")
    expires_at: Utc | None = Field(description="Latest start of the first attempt.")
    timeout_s: float | None = Field(description="Maximum duration of one attempt, in seconds; null: no limit.")
    owner: str | None = Field(description="Whose task it is; null: the operator's.")
    concurrency_key: str | None
    rate_key: str | None
    fairness_key: str | None
    dedupe_key: str | None = Field(description="At most one task with this key is PENDING or RUNNING.")
    tags: list[str]
    metadata: dict[str, Any]
    trace_id: str | None = Field(description="Trace id of the request that submitted the task (W3C Trace Context).")
    schedule_id: UUID | None = Field(description="The schedule that submitted the task.")
    scheduled_for: Utc | None = Field(description="The tick that submitted the task; null if a client submitted it.")
    webhook: WebhookSummary | None = Field(description="Where its events are sent.")
    created_at: Utc
    started_at: Utc | None = Field(description="Start of the latest attempt.")
    finished_at: Utc | None = Field(description="When the task ended.")
    timings: Timings
    links: Links

    @classmethod
    def of(cls, job: Job, root_path: str) -> Self:
        """The job as clients see it."""
        return cls(**_fields(job, root_path))


class Task(TaskSummary):
    """A task with its input, result and all files."""

    input: dict[str, Any]
    result: Any = Field(description="The output of the task type; null unless the status is SUCCESS.")
    files: list[TaskFile] = Field(description="Result files, by name. A retry keeps them, and may replace them.")
    input_files: list[TaskFile] = Field(description="The files that the task was submitted with, by name.")


VALUES: Final = ("input", "result", "files", "input_files")
"""The members of a `Task` that its summary does not have."""


def task_json(job: Job, root_path: str, members: set[str] | None = None) -> bytes:
    """A `Task` as JSON, with all members or these. Values are copied as text, so that their numbers do not change."""
    summary = TaskSummary.of(job, root_path).model_dump_json(include=members)
    texts = (job.input, job.result or "null", job.files or "[]", job.input_files or "[]")
    values = [
        f'"{name}":{text}' for name, text in zip(VALUES, texts, strict=True) if members is None or name in members
    ]
    return f"{summary[:-1]}{',' if len(summary) > 2 and values else ''}{','.join(values)}}}".encode()


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
        "owner": job.owner,
        "concurrency_key": owned_keys.shown(job.concurrency_key),
        "rate_key": owned_keys.shown(job.rate_key),
        "fairness_key": owned_keys.shown(job.fairness_key),
        "dedupe_key": owned_keys.shown(job.dedupe_key),
        "tags": job.tags,
        "metadata": job.metadata,
        "trace_id": _trace_id(job.traceparent),
        "schedule_id": job.schedule_id,
        "scheduled_for": job.scheduled_for,
        "webhook": job.webhook,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "timings": Timings.of(job),
        "links": links(job.id, root_path),
    }


def _trace_id(traceparent: str | None) -> str | None:
    # W3C Trace Context: version "-" trace-id "-" parent-id "-" flags
    return traceparent.split("-")[1] if traceparent else None


def _require_nothing(schema: dict[str, Any]) -> None:
    schema.pop("required")


class ListedTask(TaskSummary):
    """A task of a list: with all members, or only those that `fields` names."""

    model_config = ConfigDict(json_schema_extra=_require_nothing)


class TaskPage(BaseModel):
    """A page of tasks, newest first."""

    items: list[ListedTask]
    next: str | None = Field(description="Pass it as `cursor` to get the next page; null on the last page.")


class StatusCount(BaseModel):
    """How many tasks of a filter have a status."""

    count: int = Field(description="If it is not `exact`, at least so many.")
    exact: bool = Field(description="False if there may be more, because counting ends at a bound.")


class TaskCounts(BaseModel):
    """How many tasks of a filter have each of the wanted statuses."""

    counts: dict[Status, StatusCount]


class LogLine(BaseModel):
    """A line of the task's log."""

    seq: int
    at: Utc
    attempt: int
    level: str = Field(description="`debug`, `info`, `warning` or `error`.")
    message: str

    @classmethod
    def of(cls, event: Event) -> Self:
        """The log event as clients see it."""
        return cls(seq=event.seq, at=event.at, attempt=event.attempt, **event.data)


class LogPage(BaseModel):
    """Log lines in the order of `seq`."""

    items: list[LogLine]
    next_after: int = Field(description="Pass it as `after` to get the lines that follow.")
