"""Workers, and what they run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Worker:
    """A Celery main process with its children; the worker is alive while `beat` rises."""

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
    """The task types that it can run; None for a worker of version 0.1, which claims jobs of any type."""


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
