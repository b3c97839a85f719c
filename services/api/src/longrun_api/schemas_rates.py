"""Rate limits as clients send and see them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from jobcore.models import owned_keys
from jobcore.store.queues import Queue
from jobcore.store.rate_limits import MAX_STARTS, MAX_WINDOW_S, RateUse
from longrun_api.field_types import WHOLE
from longrun_api.times import Utc

MaxStarts = Annotated[
    int, Field(ge=1, le=MAX_STARTS, description="Maximum number of tasks that start within any window."), WHOLE
]
WindowS = Annotated[
    float, Field(ge=1, le=MAX_WINDOW_S, allow_inf_nan=False, description="Length of the window, in seconds.")
]


class Rate(BaseModel):
    """At most `max_starts` tasks start within any `window_s` seconds."""

    model_config = ConfigDict(extra="forbid", strict=True)

    max_starts: MaxStarts
    window_s: WindowS


class RateLimitOfKey(BaseModel):
    """A rate key, its limit, and the use of that."""

    key: str
    owner: str | None = Field(description="Whose key it is; null: the operator's.")
    max_starts: int = Field(description="Maximum number of tasks that start within any window.")
    window_s: float = Field(description="Length of the window, in seconds.")
    taken: int = Field(description="Starts within the last window, and tasks that have a permit and will start next.")
    next_start_at: Utc | None = Field(description="No further task may start before; null: one may start now.")

    @classmethod
    def of(cls, use: RateUse) -> Self:
        """The limit as clients see it."""
        return cls(
            key=owned_keys.name(use.key),
            owner=owned_keys.owner_of(use.key),
            max_starts=use.max_starts,
            window_s=use.window_s,
            taken=use.taken,
            next_start_at=use.next_start_at,
        )


class RateLimitPage(BaseModel):
    """A page of the rate limits of keys, by key. Any other key has no limit.

    A limit is deleted when no task of its key was due for `LONGRUN_RETENTION_DAYS` days.
    """

    items: list[RateLimitOfKey]
    next: str | None = Field(description="Pass it as `after` to get the next page; null on the last page.")


class QueueRate(BaseModel):
    """The rate limit of a queue, and its use."""

    max_starts: int = Field(description="Maximum number of tasks that start within any window.")
    window_s: float = Field(description="Length of the window, in seconds.")
    started: int = Field(description="Starts within the last window.")
    next_start_at: Utc | None = Field(description="No further task may start before; null: one may start now.")

    @classmethod
    def of(cls, queue: Queue) -> Self | None:
        """The rate limit of this queue; None if it has none."""
        return None if queue.max_starts is None else cls.model_validate(queue, from_attributes=True)
