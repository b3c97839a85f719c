"""Schedules as immutable values, and the jobs that a due one submits."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice, takewhile
from typing import Any, Final, Self
from uuid import UUID

from uuid_utils.compat import uuid7

from jobcore.cron import Cron
from jobcore.models import NewJob, owned_keys

ON_TIME_S: Final = 10.0
"""A tick that is handled within this many seconds is on time, because a new leading keeper needs some seconds."""
SKIP_DEADLINE_S: Final = 60.0
"""The start deadline, in seconds, of schedules that skip missed ticks and set none."""
COUNTED_MAX: Final = 1000
"""The most missed ticks that are counted when a schedule fires."""


class Overlap(StrEnum):
    """What a tick does while a job of an earlier one has not ended."""

    SKIP = "skip"
    ALLOW_ALL = "allow_all"
    CANCEL_OTHER = "cancel_other"


class MissedRuns(StrEnum):
    """What happens to ticks that were not handled in time."""

    SKIP = "skip"
    RUN_ONCE = "run_once"
    RUN_ALL = "run_all"


@dataclass(frozen=True, slots=True)
class Plan:
    """The part of a schedule that its client sets. `task` is what the client sent, `job` what each tick submits."""

    name: str
    """As `owned_keys.stored` gives it: each owner has names of its own."""
    cron: str
    timezone: str
    overlap: str
    missed_runs: str
    max_missed_runs: int
    start_deadline_s: float | None
    paused: bool
    task: Mapping[str, Any]
    job: Mapping[str, Any]

    @property
    def owner(self) -> str | None:
        """Whose schedule it is; None: the operator's."""
        return owned_keys.owner_of(self.name)

    def next_at(self, now: datetime) -> datetime | None:
        """The first tick after `now`; None while paused."""
        return None if self.paused else Cron.parse(self.cron, self.timezone).next(now)

    def resting(self, paused: bool) -> Self:
        """The same plan, paused or resumed."""
        return replace(self, paused=paused)

    def new_job(
        self, schedule_id: UUID, scheduled_for: datetime | None = None, traceparent: str | None = None
    ) -> NewJob:
        """A job to submit: of the tick `scheduled_for`, or outside its ticks if that is None."""
        job = {**self.job, "tags": tuple(self.job["tags"])}
        return NewJob(id=uuid7(), schedule_id=schedule_id, scheduled_for=scheduled_for, traceparent=traceparent, **job)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as its row is now. `runs`, `skipped` (overlap) and `missed` (too late) count its ticks."""

    id: UUID
    plan: Plan
    version: int
    next_at: datetime | None
    last_at: datetime | None
    runs: int
    skipped: int
    missed: int
    error: str | None
    error_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def from_row(cls, row: Mapping[Any, Any]) -> Self:
        """Build a schedule from a row of `schedules`."""
        plan = {field.name: row[field.name] for field in fields(Plan)}
        return cls(plan=Plan(**plan), **{name: row[name] for name in cls.__slots__ if name != "plan"})


@dataclass(frozen=True, slots=True)
class Firing:
    """What a due schedule submits. It is void if the schedule has another `version` or `due` by then."""

    schedule_id: UUID
    version: int
    due: datetime
    overlap: Overlap
    jobs: tuple[NewJob, ...]
    skipped: int
    missed: int
    next_at: datetime | None

    def decide(self, open_jobs: Mapping[UUID, bool], submitted: Collection[datetime]) -> Decision:
        """Decide by the overlap policy, given the jobs of the schedule that are there already.

        `open_jobs` are those that have not ended, or that were cancelled and have not stopped; the value says whether
        a job can be cancelled. `submitted` are ticks that have a job: a tick gets no second one, even if the clock was
        set back.
        """
        if self.overlap is Overlap.SKIP and open_jobs:
            return Decision(self, (), ())
        jobs = tuple(job for job in self.jobs if job.scheduled_for not in submitted)
        cancels = jobs and self.overlap is Overlap.CANCEL_OTHER
        return Decision(self, jobs, tuple(job for job, stoppable in open_jobs.items() if stoppable) if cancels else ())


@dataclass(frozen=True, slots=True)
class Decision:
    """What a firing does: it submits `jobs`, and cancels the jobs `others` of the same schedule."""

    firing: Firing
    jobs: tuple[NewJob, ...]
    others: tuple[UUID, ...]

    @property
    def last_at(self) -> datetime | None:
        """The last tick that gets a job; None if none does."""
        return self.jobs[-1].scheduled_for if self.jobs else None

    @property
    def skipped(self) -> int:
        """The ticks that get no job because of other jobs."""
        return self.firing.skipped + len(self.firing.jobs) - len(self.jobs)


def fire(schedule: Schedule, now: datetime) -> Firing:
    """The jobs of the ticks up to `now`, and the next tick. Raises InvalidInput if its time zone no longer exists."""
    plan = schedule.plan
    overlap = Overlap(plan.overlap)
    due = schedule.next_at or now
    cron = Cron.parse(plan.cron, plan.timezone)
    before = due - timedelta(seconds=1)  # ticks are whole seconds, so `due` is the first tick after this
    counted = sum(1 for _ in islice(takewhile(lambda tick: tick <= now, cron.ticks(before)), COUNTED_MAX))
    wanted = _wanted(plan, cron.latest(before, now, plan.max_missed_runs + round(ON_TIME_S) + 1), now)
    alone = {Overlap.SKIP: wanted[:1], Overlap.CANCEL_OTHER: wanted[-1:]}.get(overlap, wanted)
    return Firing(
        schedule.id,
        schedule.version,
        due,
        overlap,
        tuple(plan.new_job(schedule.id, tick) for tick in alone),
        len(wanted) - len(alone),
        max(0, counted - len(wanted)),
        cron.next(now),
    )


def _wanted(plan: Plan, ticks: Sequence[datetime], now: datetime) -> list[datetime]:
    """All ticks that are on time, and those of the late ones that the policy for missed runs lets run."""
    in_time = [tick for tick in ticks if (now - tick).total_seconds() <= _deadline_s(plan)]
    on_time = [tick for tick in in_time if (now - tick).total_seconds() <= ON_TIME_S]
    late = in_time[: len(in_time) - len(on_time)]
    if MissedRuns(plan.missed_runs) is MissedRuns.RUN_ALL:
        return late[-plan.max_missed_runs :] + on_time
    return on_time or late[-1:]


def _deadline_s(plan: Plan) -> float:
    if plan.start_deadline_s is not None:
        return plan.start_deadline_s
    return SKIP_DEADLINE_S if MissedRuns(plan.missed_runs) is MissedRuns.SKIP else math.inf
