"""Responses about rate limits."""

from __future__ import annotations

from pydantic import AwareDatetime

from longrun_client.wire import KeysetPage, Wire


class QueueRate(Wire):
    """At most `max_starts` tasks of the queue start within any `window_s` seconds."""

    max_starts: int
    window_s: float
    started: int = 0
    """How many started within the last window."""
    next_start_at: AwareDatetime | None = None
    """No further task may start before; None: one may start now."""


class RateLimit(Wire):
    """At most `max_starts` tasks with this `rate_key` start within any `window_s` seconds."""

    key: str
    owner: str | None = None
    """Whose key it is; None: the operator's."""
    max_starts: int
    window_s: float
    taken: int = 0
    """How many started within the last window, or are ready to start."""
    next_start_at: AwareDatetime | None = None
    """No further task may start before; None: one may start now."""


class RateLimitPage(KeysetPage[RateLimit]):
    """A page of rate limits, by key."""
