"""The parameters of `GET /events/stream`: which events."""

from __future__ import annotations

from typing import Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from jobcore.models import FeedFilter
from jobcore.models.caller import Caller
from jobcore.states import Status
from longrun_api.callers import owner_to_look_at
from longrun_api.field_types import Owner
from longrun_api.list_queries import MOST_VALUES, Texts

MOST_TASKS: Final = 200
"""As many as a page of `GET /tasks` has at most."""


class FeedQuery(BaseModel):
    """Which events to send: those that match every parameter."""

    model_config = ConfigDict(extra="forbid")

    event: list[Literal["state", "progress"]] = Field(
        [], max_length=MOST_VALUES, description="Only events of this kind; by default, both."
    )
    status: list[Status] = Field(
        [],
        max_length=MOST_VALUES,
        description="Only events after which the task has this status; repeat it for any of several. Progress is of a "
        "RUNNING task.",
    )
    task_id: list[UUID] = Field(
        [], max_length=MOST_TASKS, description="Only events of this task; repeat it for any of several."
    )
    task_type: Texts = Field([], description="Only events of tasks of this type; repeat it for any of several.")
    queue: Texts = Field([], description="Only events of tasks of this queue; repeat it for any of several.")
    tag: Texts = Field([], description="Only events of tasks with this tag; repeat it for tasks with all of several.")
    schedule_id: UUID | None = Field(None, description="Only events of tasks of this schedule.")
    owner: Owner | None = Field(
        None, description="Only events of tasks of this owner. A caller with an owner sees no others in any case."
    )
    after: str | None = Field(
        None, max_length=100, description="Start after the event with this `id`; by default, with what happens now."
    )

    def filter(self, caller: Caller) -> FeedFilter:
        """The same, as the store has it, among the tasks that the caller may see; raises InvalidInput."""
        return FeedFilter(
            kinds=frozenset(self.event),
            statuses=frozenset(self.status),
            task_types=frozenset(self.task_type),
            queues=frozenset(self.queue),
            tags=frozenset(self.tag),
            schedule_id=self.schedule_id,
            job_ids=frozenset(self.task_id),
            owner=owner_to_look_at(caller, self.owner),
        )
