"""How a task or a schedule is to be run, as keyword arguments."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict


class RetryOptions(TypedDict, total=False):
    """How long to wait before another attempt; what is left out is the task type's own choice."""

    backoff_s: float
    """Seconds before the second attempt; doubled for each further one."""
    backoff_max_s: float
    """The most seconds between two attempts."""
    jitter: float
    """By which share, 0 to 1, a delay varies at random."""


class SubmitOptions(TypedDict, total=False):
    """How a task is to be run; what is left out (or None) is the task type's own choice."""

    queue: str | None
    """The queue to wait in."""
    priority: int | None
    """Higher goes first; each step is worth a minute of waiting."""
    run_at: datetime | None
    """Not before this time, which must have a time zone."""
    delay_s: float | None
    """Not before this many seconds from now."""
    expires_at: datetime | None
    """Fail instead of starting after this time, which must have a time zone."""
    timeout_s: float | None
    """Seconds that one attempt may take."""
    max_attempts: int | None
    """How often to try in all."""
    concurrency_key: str | None
    """Tasks of one key run one at a time, or as many as its limit allows."""
    fairness_key: str | None
    """Tasks of one queue take turns between fairness keys: the id of an owner or tenant, for example."""
    retry: RetryOptions | None
    """How long to wait before another attempt."""
    tags: list[str] | None
    """Words to find it by."""
    metadata: dict[str, Any] | None
    """Anything you want to read back with the task."""


class ScheduleOptions(TypedDict, total=False):
    """When and how a schedule makes tasks; what is left out has its default."""

    timezone: str
    """The IANA time zone whose clock the cron expression goes by; UTC by default."""
    overlap: str
    """While a task of an earlier tick has not ended: `skip` (the default), `allow_all` or `cancel_other`."""
    missed_runs: str
    """Ticks that passed while Longrun was down: `skip`, `run_once` (the default) or `run_all`."""
    max_missed_runs: int
    """How many missed ticks `run_all` makes up for at most."""
    start_deadline_s: float
    """A tick that is later than so many seconds is missed."""
    paused: bool
    """Whether it rests."""
