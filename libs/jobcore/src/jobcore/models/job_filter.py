"""Which jobs a list has, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from jobcore.models.json_value import JsonText
from jobcore.states import TERMINAL, Status


@dataclass(frozen=True, slots=True)
class JobFilter:
    """The jobs for which all these conditions hold; an empty condition holds for every job.

    `after` is inclusive and `before` is exclusive, so that neighbouring ranges share no job.
    """

    statuses: tuple[Status, ...] = ()
    """Any of these."""
    task_types: tuple[str, ...] = ()
    """Any of these."""
    queues: tuple[str, ...] = ()
    """Any of these."""
    tags: tuple[str, ...] = ()
    """All of these."""
    schedule_id: UUID | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    finished_after: datetime | None = None
    finished_before: datetime | None = None
    metadata: JsonText | None = None
    """A JSON object that the metadata contains, as `@>` of jsonb defines it."""
    input: JsonText | None = None
    """A JSON object that the input contains."""
    error_contains: str | None = None
    """A part of "type: message" of the error; the case of the letters A to Z does not matter."""

    @property
    def possible_statuses(self) -> Sequence[Status]:
        """The statuses that a job of this filter can have."""
        possible = set(self.statuses or Status)
        if self.error_contains is not None:
            possible.discard(Status.SUCCESS)
        if self.finished_after or self.finished_before:
            possible &= TERMINAL
        return sorted(possible)

    @property
    def is_indexed(self) -> bool:
        """Whether status, task type and schedule alone decide, so that no row needs to be read to know."""
        return self == JobFilter(self.statuses, self.task_types, schedule_id=self.schedule_id)


@dataclass(frozen=True, slots=True)
class JobOrder:
    """The order of a list: by creation, which is the order of ids, or by the end of jobs that have ended."""

    by_finish: bool = False
    descending: bool = True


@dataclass(frozen=True, slots=True)
class JobPosition:
    """A job's place in an order; `finished_at` is None in an order by creation."""

    id: UUID
    finished_at: datetime | None = None
