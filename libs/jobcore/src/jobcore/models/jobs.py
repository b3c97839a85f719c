"""Jobs: as they are submitted, accepted and read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Self
from uuid import UUID

from jobcore.models.files import InputFileUse
from jobcore.models.json_value import JsonText
from jobcore.models.webhooks import Webhook
from jobcore.states import TERMINAL, Status


class NewJob(NamedTuple):
    """A job to accept. Its input is valid, and the JSON that the client sent. Times are aware, delays are seconds."""

    id: UUID
    task_type: str
    queue: str
    input: Mapping[str, Any] | JsonText
    max_attempts: int
    priority: int = 0
    run_at: datetime | None = None
    delay_s: float | None = None
    expires_at: datetime | None = None
    timeout_s: float | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = {}
    traceparent: str | None = None
    concurrency_key: str | None = None
    rate_key: str | None = None
    fairness_key: str | None = None
    retry: Mapping[str, float] | None = None
    """What replaces values of its task type's retry policy: backoff_s, backoff_max_s, jitter."""
    schedule_id: UUID | None = None
    scheduled_for: datetime | None = None
    dedupe_key: str | None = None
    """At most one job with this key is live, which means PENDING or RUNNING."""
    owner: str | None = None
    """Whose job it is; None: the operator's. Its keys are those that `owned_keys.stored` gives."""
    webhook: Webhook | None = None
    sealed: str | None = None
    """The input as it was sent, encrypted; then `input` is what may be shown of it."""


class NewJobWithFiles(NewJob):
    """A job to accept with input files that were uploaded before: their ids, by the names that the job gives them."""

    files: Mapping[str, UUID]

    @classmethod
    def of(cls, job: NewJob, files: Mapping[str, UUID]) -> Self:
        """The job with these files."""
        made = cls(*job)
        made.files = files
        return made

    @property
    def uses(self) -> list[InputFileUse]:
        """What each file is for."""
        return [InputFileUse(file_id, self.id, name, f"files.{name}"[:200]) for name, file_id in self.files.items()]


class Accepted(NamedTuple):
    """A job whose row is committed. `ready` is false while it waits for its time, or is blocked by a limit."""

    id: UUID
    queue: str
    created_at: datetime
    ready: bool
    traceparent: str | None
    blocked_by: str | None
    """`key`: its concurrency key or its rate key may have no permit free; None: it is ready or waiting."""
    concurrency_key: str | None
    rate_key: str | None

    @property
    def jobs(self) -> int:
        """How many jobs this is: one."""
        return 1


class AcceptedAlike(NamedTuple):
    """Jobs of a batch that were accepted, and in which nothing differs that `Accepted` has but their ids."""

    queue: str
    created_at: datetime
    ready: bool
    traceparent: str | None
    blocked_by: str | None
    concurrency_key: str | None
    rate_key: str | None
    jobs: int
    """How many they are."""

    @classmethod
    def groups(cls, accepted: Iterable[Accepted]) -> list[Self]:
        """These jobs, each with those that are like it."""
        return [cls(*alike, jobs) for alike, jobs in Counter(job[1:] for job in accepted).items()]


@dataclass(frozen=True, slots=True)
class CancelReceipt:
    """When a cancel was requested, acknowledged by the worker and complete, and by which method.

    `method` is one of `queued`, `cooperative`, `signal`, `kill`, `finished` and `worker_lost`.
    """

    requested_at: datetime
    acknowledged_at: datetime | None
    stopped_at: datetime | None
    method: str | None


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its row in `jobs` is now. `input`, `result`, `files` and `input_files` are JSON texts.

    They are None if the query left them out; the last two also if there are none.
    """

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
    """The attempts that count against `max_attempts`: no crashes, no losses, none before a manual retry."""
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
    rate_key: str | None
    fairness_key: str | None
    schedule_id: UUID | None
    scheduled_for: datetime | None
    dedupe_key: str | None
    owner: str | None
    due_at: datetime
    """When the latest run became due or, if the job is PENDING, when the next one did or will."""
    first_started_at: datetime | None
    webhook: Mapping[str, Any] | None = None
    """As a `Webhook`."""
    input: str | None = None
    result: str | None = None
    files: str | None = None
    input_files: str | None = None

    @classmethod
    def from_row(cls, row: Mapping[Any, Any]) -> Self:
        """Build a job from a row of `jobs`; extra columns are ignored."""
        values = {name: row[name] for name in cls.__slots__ if name in row}
        converted = {"status": Status(row["status"]), "tags": tuple(row["tags"]), "cancel": _receipt(row)}
        return cls(**values | converted)

    @property
    def ended(self) -> bool:
        """True in a terminal status."""
        return self.status in TERMINAL

    @property
    def run_started_at(self) -> datetime | None:
        """When the latest run began; None if the job waits for its next one, or ended while it waited."""
        waited = self.status is Status.PENDING or (self.cancel is not None and self.cancel.method == "queued")
        return None if waited else self.started_at

    @property
    def run_ended_at(self) -> datetime | None:
        """When the latest run ended; None if it has not, or `run_started_at` is None."""
        if self.run_started_at is None:
            return None
        return self.finished_at if self.cancel is None else self.cancel.stopped_at


def _receipt(row: Mapping[Any, Any]) -> CancelReceipt | None:
    if row["cancel_requested_at"] is None:
        return None
    return CancelReceipt(
        row["cancel_requested_at"],
        row["cancel_acknowledged_at"],
        row["cancel_stopped_at"],
        row["cancel_method"],
    )
