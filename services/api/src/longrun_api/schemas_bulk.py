"""Bulk actions as the API takes and shows them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from jobcore.models import JobFilter
from jobcore.models.caller import OPERATOR, Caller
from jobcore.states import Status
from jobcore.store import json_text
from jobcore.store.bulk import Seen
from longrun_api.list_queries import FilterQuery

MOST_IDS: Final = 1000
MOST_BYTES: Final = 16_384
"""The most bytes of a JSON object in a filter, as in the query of a list."""


def _storable(value: dict[str, Any]) -> dict[str, Any]:
    for path, message in json_text.problems(value, "value"):
        raise ValueError(f"{path}: {message}")
    if len(json_text.dumps(value)) > MOST_BYTES:
        raise ValueError(f"must have at most {MOST_BYTES:,} bytes as JSON")
    return value


Object = Annotated[dict[str, Any], AfterValidator(_storable)]


class TaskFilter(FilterQuery):
    """The tasks that match every member: the parameters of `GET /tasks`."""

    metadata: Object | None = Field(  # type: ignore[assignment]
        None, description="Only tasks whose metadata contains this object."
    )
    input: Object | None = Field(  # type: ignore[assignment]
        None, description="Only tasks whose input contains this object."
    )

    def filter(self, caller: Caller) -> JobFilter:
        """The same, as the store has it, among the tasks that the caller may see; raises InvalidInput."""
        texts = {
            name: None if value is None else json_text.dumps(value)
            for name, value in (("metadata", self.metadata), ("input", self.input))
        }
        return FilterQuery.filter(self.model_copy(update=texts), caller)


class BulkRequest(BaseModel):
    """Which tasks to change: those of `ids`, those of `filter`, or all."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [{"filter": {"queue": ["reports"], "status": ["PENDING"]}, "dry_run": True}],
        },
    )

    ids: Annotated[list[Annotated[UUID, Field(strict=False)]], Field(min_length=1, max_length=MOST_IDS)] | None = Field(
        None, description="These tasks; an id that is given again counts once."
    )
    filter: TaskFilter | None = Field(None, description="The tasks that `GET /tasks` lists for these parameters.")
    all: bool = Field(False, description="Must be true for a filter without conditions, which means every task.")
    dry_run: bool = Field(False, description="Only count what would be changed.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        has_conditions = self.filter is not None and self.filter.filter(OPERATOR) != JobFilter()
        if self.ids is not None and (self.filter is not None or self.all):
            raise ValueError("give ids or a filter, not both")
        if self.ids is None and not (has_conditions or self.all):
            raise ValueError('give ids, or a filter with a condition; "all": true means every task')
        if has_conditions and self.all:
            raise ValueError('leave out "all": the filter has conditions')
        return self


class BulkOutcome(BaseModel):
    """What became of one of the given ids."""

    task_id: UUID
    outcome: str = Field(
        description="`changed`, or in a dry run what would be; `skipped`: its status does not allow it; `unknown`: "
        "there is no such task."
    )
    status: Status | None = Field(description="The status that the task had; null if it is unknown.")
    detail: str | None = Field(None, description="Why it was skipped, if the status does not tell.")

    @classmethod
    def of(cls, task_id: UUID, seen: Seen | None) -> Self:
        """The outcome of an id; None: there is no such job."""
        if seen is None:
            return cls(task_id=task_id, outcome="unknown", status=None)
        return cls(
            task_id=task_id,
            outcome="changed" if seen.changed else "skipped",
            status=seen.status,
            detail=seen.reason,
        )


class BulkResult(BaseModel):
    """What a bulk action did, or in a dry run would do."""

    dry_run: bool
    matched: int = Field(description="Tasks that were found: `changed` and all of `skipped`.")
    changed: int = Field(description="Tasks that were changed, or in a dry run would be.")
    skipped: dict[Status, int] = Field(description="Tasks that were left as they were, by their status.")
    unknown: int = Field(description="Ids of no task.")
    exact: bool = Field(
        description="False if there may be more than these, because counting ends at a bound. Tasks that are changed "
        "are always counted exactly, except in a dry run."
    )
    outcomes: list[BulkOutcome] = Field(description="One for each of the given ids, in their order.")
