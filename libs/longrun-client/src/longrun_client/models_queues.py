"""Responses about queues and concurrency limits."""

from __future__ import annotations

from pydantic import Field

from longrun_client.models_rates import QueueRate
from longrun_client.wire import KeysetPage, Wire


class Queue(Wire):
    """A queue and its tasks. `ready`, `blocked` and `waiting` are counted up to 10,000, in a list up to 1,000."""

    name: str
    paused: bool
    """Whether the queue is paused: no task of it starts; running tasks continue."""
    max_running: int | None = None
    """Maximum number of its tasks that run at once; None: no limit."""
    rate_limit: QueueRate | None = None
    """How many of its tasks may start within a window; None: no limit."""
    ready: int
    """Tasks that may start now."""
    oldest_s: float | None = None
    """Seconds since the oldest of the first 50 ready tasks became ready; None if none is ready."""
    blocked: int
    """Tasks that a limit of a key or of this queue keeps from running."""
    waiting: int
    """Tasks whose `run_at` has not come."""
    unserved: int = 0
    """Tasks that are due and that no active worker can run."""
    running: int
    workers: int
    """Active workers that serve the queue."""
    children: int | None = None
    """Child processes of those workers."""
    room: dict[str, int] = Field(default_factory=dict)
    """How many more tasks of each lane they could start now; `async` and `thread` share theirs."""


class ConcurrencyLimit(Wire):
    """At most `max_running` tasks with this `concurrency_key` run at once."""

    key: str
    owner: str | None = None
    """Whose key it is; None: the operator's."""
    max_running: int


class QueuePage(KeysetPage[Queue]):
    """A page of queues, by name."""


class ConcurrencyLimitPage(KeysetPage[ConcurrencyLimit]):
    """A page of limits, by key."""
