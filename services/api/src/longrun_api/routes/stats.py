"""`/stats`: what happened to tasks in each minute of the last hour, or each hour of the last day or week."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Self

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from jobcore.models.caller import Scope
from jobcore.models.rollups import Rollup, Span
from jobcore.store import rollups
from longrun_api.auth.scopes import needs
from longrun_api.callers import owner_of
from longrun_api.field_types import QUEUE_NAME
from longrun_api.openapi import problem_responses
from longrun_api.runtime import runtime_of
from longrun_api.times import Utc

router = APIRouter(prefix="/stats", tags=["tasks"])


class Last(StrEnum):
    """How far back to look."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"


LOOKS: Final = {Last.HOUR: (Span.MINUTE, 60), Last.DAY: (Span.HOUR, 24), Last.WEEK: (Span.HOUR, 7 * 24)}
"""The rollups to read for each, and how many of them."""


class Durations(BaseModel):
    """Durations in seconds, each within a fifth of the true value."""

    p50: float = Field(description="Half of them took at most so long.")
    p95: float = Field(description="19 of 20 took at most so long.")


class Figures(BaseModel):
    """What happened to tasks within a time."""

    submitted: int
    succeeded: int
    failed: int
    cancelled: int
    retried: int = Field(description="How often a task became PENDING again after a run or an end, but for hand-backs.")
    wait_s: Durations | None = Field(description="How long the tasks that started had been due; null if none started.")
    run_s: Durations | None = Field(
        description="How long the last attempt of those took that ended SUCCESS or FAILED; null: none."
    )

    @classmethod
    def of(cls, rollup: Rollup, **more: object) -> Self:
        """The figures as clients see them."""
        counted = {each: rollup.jobs(each) for each in ("submitted", "succeeded", "failed", "cancelled", "retried")}
        return cls.model_validate(
            {**counted, "wait_s": _durations(rollup, "wait"), "run_s": _durations(rollup, "run"), **more}
        )


class FiguresAt(Figures):
    """What happened to tasks from `at` until `step_s` later."""

    at: Utc


class Stats(BaseModel):
    """What happened to tasks, step by step and in sum."""

    step_s: int = Field(description="Length of the time of each item, in seconds.")
    items: list[FiguresAt] = Field(description="From the oldest to the one that is under way.")
    total: Figures


@router.get("", responses=problem_responses(422, 503))
@needs(Scope.READ)
async def get_stats(
    request: Request,
    last: Annotated[
        Last, Query(description="How far back to look: in minutes for an hour, else in hours.")
    ] = Last.HOUR,
    queue: Annotated[str | None, Query(pattern=QUEUE_NAME, description="Only tasks of this queue.")] = None,
) -> Stats:
    """Get how many tasks were submitted, ended and were retried, and how long they waited and ran.

    What happens is counted within about ten seconds. A caller with an owner gets the figures of its tasks. Of each
    owner, and of all together, the 100 queues that came first in a minute or an hour have figures of their own; tasks
    of others are in the figures of all queues.
    """
    span, number = LOOKS[last]
    found = await runtime_of(request).database.call(rollups.read, span, number, owner_of(request), queue)
    return Stats(
        step_s=int(span.length.total_seconds()),
        items=[FiguresAt.of(Rollup.of(counts), at=at) for at, counts in found.items()],
        total=Figures.of(Rollup.of(each for counts in found.values() for each in counts)),
    )


def _durations(rollup: Rollup, what: str) -> dict[str, float | None] | None:
    found = {name: rollup.percentile(what, share) for name, share in (("p50", 0.5), ("p95", 0.95))}
    return None if None in found.values() else found
