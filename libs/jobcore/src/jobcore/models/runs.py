"""Runs of jobs: their claim, their outcome, the transition that it made, and what remains to be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from jobcore.models.events import Event, NewEvent
from jobcore.states import Status


class Claim(NamedTuple):
    """A job that a child may run for as long as the fence of its row is `fence`."""

    id: UUID
    fence: int
    task_type: str
    queue: str
    input: str
    """The JSON text that the client sent."""
    attempt: int
    tries: int
    """The runs so far that count against `max_attempts`, this one included; see `Job.tries`."""
    max_attempts: int
    timeout_s: float | None
    checkpoint: Any
    traceparent: str | None
    seq: int
    """The seq of the RUNNING event."""
    claimed_at: datetime
    ready_s: float | None = None
    """The seconds for which it was ready; None if it was handed back before, because that kept its rank."""
    retry: Mapping[str, float] | None = None
    refusals: int = 0
    """The runs before this one, without a break, that handed the job back because they could not read its input."""
    output_bytes: int = 0
    """What the output of the runs before this one counts; `Bounds.output_bytes` is the most."""
    suspected: int = 0
    """How often it ran in a child that died, when it was not known which of the child's runs ended it."""
    owner: str | None = None
    """Whose job it is; None: the operator's."""
    sealed: str | None = None
    """The input, encrypted, if it has secrets; then `input` is what may be shown of it."""


class Outcome(NamedTuple):
    """How a run ended: SUCCESS, FAILED, or PENDING for another try after `retry_s` seconds.

    `refused`: the task's function was not called, because this worker cannot read the input; this costs no try.
    """

    id: UUID
    fence: int
    status: Status
    result: Any = None
    """A JSON value, or its `JsonText`."""
    error: Mapping[str, Any] | None = None
    retry_s: float | None = None
    progress: Mapping[str, Any] | None = None
    events: tuple[NewEvent, ...] = ()
    refused: bool = False
    result_bytes: int = 0
    """The size of the result as JSON; it decides how many outcomes one statement stores."""
    output_bytes: int = 0
    """What the output among `events` counts."""


class Change(NamedTuple):
    """A transition that was stored, with what streams and wake-ups need to know about it."""

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
    """True if its queue has a limit, so that a permit may be free now."""

    @property
    def event(self) -> Event:
        """The state event of this transition."""
        return Event(self.seq, self.at, self.attempt, "state", self.data)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job, read from its events; `seq` is that of its first event.

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
    """None once the worker is forgotten, a day after its end."""
    error: Mapping[str, Any] | None
    traceback: str | None
