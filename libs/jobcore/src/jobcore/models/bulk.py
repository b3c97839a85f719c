"""Bulk actions: what clients do to many jobs at once, and the jobs that do it in the background."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID

from jobcore.models.job_filter import JobFilter
from jobcore.states import Status

BULK_QUEUE: Final = "longrun.bulk"
"""The queue of the jobs that carry out bulk actions. The keeper serves it, so no worker gets wake-ups for it."""


class BulkAction(StrEnum):
    """What is done to many jobs."""

    CANCEL = "cancel"
    RETRY = "retry"

    @property
    def task_type(self) -> str:
        """The task type of the jobs that carry it out."""
        return f"longrun.{self}"

    @property
    def statuses(self) -> frozenset[Status]:
        """The statuses of the jobs that it can change."""
        if self is BulkAction.CANCEL:
            return frozenset({Status.PENDING, Status.RUNNING})
        return frozenset({Status.FAILED, Status.CANCELLED})

    def changeable(self, wanted: JobFilter) -> JobFilter | None:
        """The jobs of a filter that it can change, by their statuses; None if there can be none."""
        return _of_statuses(wanted, self.statuses)

    def others(self, wanted: JobFilter) -> JobFilter | None:
        """The jobs of a filter that it skips for their statuses; None if there can be none."""
        return _of_statuses(wanted, frozenset(Status) - self.statuses)


BULK_TYPES: Final = {action.task_type: action for action in BulkAction}


@dataclass(frozen=True, slots=True)
class Tally:
    """How far a bulk action has come: the last id it has passed, and what it did to the jobs up to there."""

    after: UUID | None = None
    changed: int = 0
    skipped: Mapping[Status, int] | None = None

    @classmethod
    def of(cls, checkpoint: Mapping[str, Any] | None) -> Self:
        """The tally of a checkpoint; None: nothing is done yet."""
        if checkpoint is None:
            return cls()
        skipped = {Status(status): count for status, count in checkpoint["skipped"].items()}
        return cls(checkpoint["after"] and UUID(checkpoint["after"]), checkpoint["changed"], skipped)

    @property
    def skips(self) -> Counter[Status]:
        """How many jobs were skipped, by their status."""
        return Counter(self.skipped or {})

    def passed(self, after: UUID | None, changed: int, skipped: Counter[Status]) -> Self:
        """The tally after a batch."""
        return replace(self, after=after, changed=self.changed + changed, skipped=self.skips + skipped)

    def checkpoint(self) -> dict[str, Any]:
        """The tally as a JSON value."""
        return {
            "after": self.after and str(self.after),
            "changed": self.changed,
            "skipped": {str(status): count for status, count in sorted(self.skips.items())},
        }


def _of_statuses(wanted: JobFilter, statuses: frozenset[Status]) -> JobFilter | None:
    left = statuses.intersection(wanted.possible_statuses)
    return replace(wanted, statuses=tuple(sorted(left))) if left else None
