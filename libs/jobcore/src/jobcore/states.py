"""The five statuses of a job and the transitions between them (docs/state-machine.md), and the lanes of its runs."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """The status of a job."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class ErrorKind(StrEnum):
    """Why a job is FAILED, or why one of its runs ended without success."""

    RAISED = "raised"
    TIMEOUT = "timeout"
    WORKER_LOST = "worker_lost"
    EXPIRED = "expired"
    INVALID = "invalid"


class Lane(StrEnum):
    """How a child runs the jobs of a task type: alone on its main thread, on its event loop, or in a thread."""

    PROCESS = "process"
    ASYNC = "async"
    THREAD = "thread"


TERMINAL: Final = frozenset({Status.SUCCESS, Status.FAILED, Status.CANCELLED})

TRANSITIONS: Final[dict[tuple[Status, str], Status]] = {
    (Status.PENDING, "claim"): Status.RUNNING,
    (Status.PENDING, "cancel"): Status.CANCELLED,
    (Status.PENDING, "expire"): Status.FAILED,
    (Status.RUNNING, "finish(ok)"): Status.SUCCESS,
    (Status.RUNNING, "finish(error, final)"): Status.FAILED,
    (Status.RUNNING, "retry"): Status.PENDING,
    (Status.RUNNING, "rescue"): Status.PENDING,
    (Status.RUNNING, "hand back"): Status.PENDING,
    (Status.RUNNING, "quarantine"): Status.FAILED,
    (Status.RUNNING, "cancel"): Status.CANCELLED,
    (Status.FAILED, "manual retry"): Status.PENDING,
    (Status.CANCELLED, "manual retry"): Status.PENDING,
}
"""All transitions: (from, name) → to. Only a client's retry leaves FAILED or CANCELLED; nothing leaves SUCCESS."""
