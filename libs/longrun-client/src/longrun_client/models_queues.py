"""Queues and limits as they travel on the wire."""

from __future__ import annotations

from longrun_client.models import KeysetPage, Wire


class Queue(Wire):
    """A queue and what it holds. `ready`, `blocked` and `waiting` are counted up to 10,000, in a list up to 1,000."""

    name: str
    paused: bool
    """Nothing is taken from it; what runs goes on."""
    max_running: int | None = None
    """At most so many of its tasks run at once; None: no limit."""
    ready: int
    """Tasks that may be taken now."""
    oldest_s: float | None = None
    """Seconds that the first of them has been ready."""
    blocked: int
    """Tasks that wait for a place of their concurrency key or of this queue."""
    waiting: int
    """Tasks that wait for their time."""
    running: int
    workers: int
    """Active workers that serve it."""
    children: int | None = None
    """Child processes of those workers."""


class ConcurrencyLimit(Wire):
    """At most `max_running` tasks of this `concurrency_key` run at once."""

    key: str
    max_running: int


class QueuePage(KeysetPage[Queue]):
    """Some queues, by name."""


class ConcurrencyLimitPage(KeysetPage[ConcurrencyLimit]):
    """Some limits, by key."""
