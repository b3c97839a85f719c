"""Immutable values that travel between the store, the API and the workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from jobcore.states import TERMINAL, Status


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be accepted: its input is valid, and as the client gave it. Times are aware; delays are seconds."""

    id: UUID
    task_type: str
    queue: str
    input: Mapping[str, Any]
    max_attempts: int
    priority: int = 0
    run_at: datetime | None = None
    delay_s: float | None = None
    expires_at: datetime | None = None
    timeout_s: float | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    traceparent: str | None = None
    concurrency_key: str | None = None
    fairness_key: str | None = None
    retry: Mapping[str, float] | None = None
    """What differs from its task type's retry policy: backoff_s, backoff_max_s, jitter."""
    schedule_id: UUID | None = None
    scheduled_for: datetime | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A job whose row is committed. `ready` is false while it waits for its time, or is blocked by a limit."""

    id: UUID
    queue: str
    created_at: datetime
    ready: bool
    traceparent: str | None
    blocked_by: str | None
    """`key`: its concurrency key has a limit, which may have no permit free; None: it is ready or waiting."""
    concurrency_key: str | None


@dataclass(frozen=True, slots=True)
class CancelReceipt:
    """When a cancel was asked for, seen by the worker and done, and how: queued, cooperative, signal, kill."""

    requested_at: datetime
    acknowledged_at: datetime | None
    stopped_at: datetime | None
    method: str | None


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands in the table; `input` and `result` are None where not asked for."""

    id: UUID
    task_type: str
    queue: str
    priority: int
    status: Status
    run_at: datetime
    expires_at: datetime | None
    timeout_s: float | None
    error: Mapping[str, Any] | None
    tags: tuple[str, ...]
    metadata: Mapping[str, Any]
    fence: int
    attempt: int
    tries: int
    """How many attempts count against `max_attempts`: without crashes, losses and those before a manual retry."""
    max_attempts: int
    retry: Mapping[str, float] | None
    progress: Mapping[str, Any] | None
    last_seq: int
    cancel: CancelReceipt | None
    traceparent: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    concurrency_key: str | None
    fairness_key: str | None
    schedule_id: UUID | None
    scheduled_for: datetime | None
    input: str | None = None
    """JSON text, as it was given; so is `result`."""
    result: str | None = None

    @classmethod
    def from_row(cls, row: Mapping[Any, Any]) -> Self:
        """Build a job from a row of `jobs`; extra columns are ignored."""
        values = {name: row[name] for name in cls.__slots__ if name in row}
        return cls(
            **values
            | {
                "status": Status(row["status"]),
                "tags": tuple(row["tags"]),
                "cancel": _receipt(row),
            }
        )

    @property
    def ended(self) -> bool:
        """True in a terminal status."""
        return self.status in TERMINAL


def _receipt(row: Mapping[Any, Any]) -> CancelReceipt | None:
    if row["cancel_requested_at"] is None:
        return None
    return CancelReceipt(
        row["cancel_requested_at"],
        row["cancel_acknowledged_at"],
        row["cancel_stopped_at"],
        row["cancel_method"],
    )


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this worker may run, as long as the row's fence is still `fence`."""

    id: UUID
    fence: int
    task_type: str
    queue: str
    input: str
    """JSON text, as the client gave it."""
    attempt: int
    tries: int
    """How many runs so far count against `max_attempts`, this one included: see `Job.tries`."""
    max_attempts: int
    timeout_s: float | None
    checkpoint: Any
    traceparent: str | None
    seq: int
    """The seq of the RUNNING event."""
    claimed_at: datetime
    ready_s: float | None = None
    """How many seconds it had been ready; None for a job that was handed back once, as it kept its place."""
    retry: Mapping[str, float] | None = None
    refusals: int = 0
    """How many runs in a row were given back because their worker could not read the input."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a job; `seq` is None for progress that is only streamed and not stored."""

    seq: int | None
    at: datetime
    attempt: int
    kind: str
    data: Mapping[str, Any]

    @property
    def terminal(self) -> bool:
        """True for the state event that ends the job, unless a manual retry has reopened it since (`retried`)."""
        return self.kind == "state" and self.data.get("status") in TERMINAL and not self.data.get("retried")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job, read from its events; `seq` is that of the event that began it.

    `outcome` is one of `running`, `success`, `failed`, `retried` (it failed, and another try follows), `timeout`,
    `crashed` (its process died), `lost` (its worker was lost), `cancelled` and `handed_back` (for a deploy, or before
    it started; the next run gets its number).
    """

    seq: int
    attempt: int
    outcome: str
    started_at: datetime
    ended_at: datetime | None
    worker_id: UUID
    host: str | None
    """None once the row of the worker is deleted, a day after its end."""
    error: Mapping[str, Any] | None
    traceback: str | None


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event not stored yet; `age_s` says how many seconds ago it happened."""

    kind: str
    data: Mapping[str, Any]
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run of a claimed job ended: SUCCESS, FAILED, or PENDING for another try after `retry_s` seconds.

    `refused`: it never began, because this worker cannot read the input; the try is given back.
    """

    id: UUID
    fence: int
    status: Status
    result: Any = None
    error: Mapping[str, Any] | None = None
    retry_s: float | None = None
    progress: Mapping[str, Any] | None = None
    events: tuple[NewEvent, ...] = ()
    refused: bool = False
    result_bytes: int = 0
    """The size of the result as JSON, which decides how many outcomes are stored at once."""


@dataclass(frozen=True, slots=True)
class Change:
    """A transition that was stored: what a live reader and a waker need to know of it."""

    id: UUID
    queue: str
    status: Status
    ready: bool
    seq: int
    attempt: int
    at: datetime
    data: Mapping[str, Any]
    task_type: str
    concurrency_key: str | None
    limited: bool
    """Whether its queue has a limit: a place may be free now."""

    @property
    def event(self) -> Event:
        """The state event of this transition."""
        return Event(self.seq, self.at, self.attempt, "state", self.data)


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker: one Celery main process with its children, alive while `beat` moves."""

    id: UUID
    host: str
    pid: int
    queues: tuple[str, ...]
    concurrency: int
    version: str
    state: str
    beat: int
    heartbeat_at: datetime
    started_at: datetime
    task_types: tuple[str, ...] | None
    """What it can run; None for a worker of version 0.1, which takes jobs of any type."""


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that a worker is running."""

    worker_id: UUID
    task_id: UUID
    task_type: str
    slot: int
    fence: int
    attempt: int
    started_at: datetime
