"""Attempts of tasks as the API shows them."""

from __future__ import annotations

from typing import Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field

from jobcore.models import Run
from longrun_api.schemas import TaskError, Utc


class AttemptError(TaskError):
    """Why the attempt failed; `traceback` unless the task raised on purpose, or another process ended it."""

    traceback: str | None


class AttemptWorker(BaseModel):
    """Where the attempt ran; `host` is null once the worker is forgotten, a day after its end."""

    id: UUID
    host: str | None


class Attempt(BaseModel):
    """One attempt: when, where, what came of it."""

    seq: int = Field(description="The seq of the event that began it.")
    attempt: int = Field(description="Its number; one that was handed back gives its number to the next.")
    outcome: Literal[
        "running", "success", "failed", "retried", "timeout", "crashed", "lost", "handed_back", "cancelled"
    ] = Field(description="`retried`: it failed, and was or will be tried again; `handed_back`: for a deploy.")
    started_at: Utc
    ended_at: Utc | None
    worker: AttemptWorker
    error: AttemptError | None

    @classmethod
    def of(cls, run: Run) -> Self:
        """The run as clients see it."""
        return cls(
            seq=run.seq,
            attempt=run.attempt,
            outcome=run.outcome,
            started_at=run.started_at,
            ended_at=run.ended_at,
            worker=AttemptWorker(id=run.worker_id, host=run.host),
            error=None if run.error is None else AttemptError(**run.error, traceback=run.traceback),
        )


class AttemptPage(BaseModel):
    """Attempts in order."""

    items: list[Attempt]
    next_after: int = Field(description="Give it as `after` for what comes next.")
