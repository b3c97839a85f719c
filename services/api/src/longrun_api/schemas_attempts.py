"""Attempts of tasks as the API shows them."""

from __future__ import annotations

from typing import Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field

from jobcore.models import Run
from longrun_api.schemas import TaskError
from longrun_api.times import Utc


class AttemptError(TaskError):
    """Why the attempt failed. `traceback` is null for deliberate errors of the task and if another process ended it."""

    traceback: str | None


class AttemptWorker(BaseModel):
    """The worker that ran the attempt.

    `host` is null from one day after the end of the worker, and for callers with an owner.
    """

    id: UUID
    host: str | None


class Attempt(BaseModel):
    """One attempt: when and where it ran, and its outcome."""

    seq: int = Field(description="`seq` of the event that started the attempt.")
    attempt: int = Field(
        description="Number of the attempt. An attempt that was handed back passes its number on to the next."
    )
    outcome: Literal[
        "running", "success", "failed", "retried", "timeout", "crashed", "lost", "handed_back", "cancelled"
    ] = Field(
        description="`retried`: it failed and another attempt follows. `handed_back`: the worker returned the task to "
        "its "
        "queue, for example for a deploy. `crashed`, `lost`: the process or its worker died."
    )
    started_at: Utc
    ended_at: Utc | None
    worker: AttemptWorker
    error: AttemptError | None

    @classmethod
    def of(cls, run: Run, *, with_host: bool) -> Self:
        """The run as clients see it: hosts are the operator's, as workers are."""
        return cls(
            seq=run.seq,
            attempt=run.attempt,
            outcome=run.outcome,
            started_at=run.started_at,
            ended_at=run.ended_at,
            worker=AttemptWorker(id=run.worker_id, host=run.host if with_host else None),
            error=None if run.error is None else AttemptError(**run.error, traceback=run.traceback),
        )


class AttemptPage(BaseModel):
    """Attempts, oldest first."""

    items: list[Attempt]
    next_after: int = Field(description="Pass it as `after` to get the attempts that follow.")
