"""The events of all jobs, in one order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from jobcore.models.events import Event
from jobcore.states import Status


class FeedPosition(NamedTuple):
    """A place in the order of all events: by transaction, and within one by job and seq.

    A reader that has everything up to a position has every event of earlier transactions.
    """

    txid: int
    job_id: UUID = UUID(int=0)
    seq: int = 0


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """An event of one of many jobs, with what filters ask about its job."""

    position: FeedPosition
    event: Event
    task_type: str
    queue: str
    tags: frozenset[str]
    schedule_id: UUID | None
    owner: str | None = None

    @property
    def status(self) -> str:
        """The status of the job after the event: progress is of a run."""
        status: str = self.event.data["status"] if self.event.kind == "state" else Status.RUNNING
        return status


@dataclass(frozen=True, slots=True)
class FeedFilter:
    """The events for which all these conditions hold; an empty condition holds for every event."""

    kinds: frozenset[str] = frozenset()
    """Any of `state` and `progress`."""
    statuses: frozenset[str] = frozenset()
    """Any of these, after the event."""
    task_types: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    """All of these."""
    schedule_id: UUID | None = None
    job_ids: frozenset[UUID] = frozenset()
    owner: str | None = None
    """Whose jobs; None: everyone's."""

    def matches(self, found: FeedEvent) -> bool:
        """Whether the event is one of the filter; `jobcore.store.feed` says the same in SQL."""
        return (
            (self.owner is None or self.owner == found.owner)
            and (not self.job_ids or found.position.job_id in self.job_ids)
            and (not self.task_types or found.task_type in self.task_types)
            and (not self.queues or found.queue in self.queues)
            and (not self.kinds or found.event.kind in self.kinds)
            and (not self.statuses or found.status in self.statuses)
            and self.tags <= found.tags
            and (self.schedule_id is None or self.schedule_id == found.schedule_id)
        )
