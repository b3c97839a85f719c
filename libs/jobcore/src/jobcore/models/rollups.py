"""Rollups: how many jobs were submitted, ended and were retried in each minute and hour, and how long they took.

A duration is counted in one of RANGES ranges of milliseconds; each reaches to the square root of two times its begin.
So a percentile is off by a fifth at most, and counts of minutes, queues or owners can be added up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

RANGES: Final = 64
"""The last range begins at 35 days, and has all that is longer."""


class Span(StrEnum):
    """How long the time of one rollup is."""

    MINUTE = "minute"
    HOUR = "hour"

    @property
    def length(self) -> timedelta:
        """The time of one rollup."""
        return timedelta(minutes=1) if self is Span.MINUTE else timedelta(hours=1)

    @property
    def kept(self) -> timedelta:
        """For how long a rollup is kept."""
        return timedelta(hours=2) if self is Span.MINUTE else timedelta(days=8)


class Count(NamedTuple):
    """How many jobs something happened to from `at` on; `range` is that of a duration, and 0 otherwise."""

    at: datetime
    what: str
    range: int
    jobs: int


@dataclass(frozen=True, slots=True)
class Rollup:
    """What happened to jobs within a time."""

    counts: Mapping[str, Mapping[int, int]]
    """For everything that happened, the number of jobs by range."""

    @classmethod
    def of(cls, counts: Iterable[Count]) -> Rollup:
        """The sum of counts."""
        added = dict[str, dict[int, int]]()
        for each in counts:
            ranges = added.setdefault(each.what, {})
            ranges[each.range] = ranges.get(each.range, 0) + each.jobs
        return cls(added)

    def jobs(self, what: str) -> int:
        """How many jobs this happened to."""
        return sum(self.counts.get(what, {}).values())

    def percentile(self, what: str, share: float) -> float | None:
        """How many seconds this share of the durations took at most, estimated within a range; None: there is none."""
        wanted = share * self.jobs(what)
        before = 0
        for number, jobs in sorted(self.counts.get(what, {}).items()):
            if before + jobs >= wanted:
                return float(2 ** ((number + (wanted - before) / jobs) / 2) / 1000)
            before += jobs
        return None
