"""Workers, and what they run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from jobcore.states import Lane


def by_lane(counts: Iterable[int]) -> Mapping[Lane, int]:
    """Numbers in the order of `Lane`, by lane."""
    return dict(zip(Lane, counts, strict=True))


@dataclass(frozen=True, slots=True)
class Worker:
    """A Celery main process with its children; the worker is alive while `beat` rises."""

    id: UUID
    host: str
    pid: int
    queues: tuple[str, ...]
    concurrency: int
    jobs_per_child: int
    version: str
    state: str
    beat: int
    heartbeat_at: datetime
    started_at: datetime
    task_types: tuple[str, ...] | None
    """The task types that it can run; None for a worker of version 0.1, which claims jobs of any type."""
    runs: Mapping[Lane, int]
    """How many jobs it runs, by lane."""
    room: Mapping[Lane, int]
    """How many more jobs of each lane it could start now; async and thread jobs share theirs."""


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that a worker is running."""

    worker_id: UUID
    task_id: UUID
    task_type: str
    lane: Lane
    slot: int
    fence: int
    attempt: int
    started_at: datetime
