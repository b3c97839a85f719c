"""The parameters of task lists: which tasks, in which order, and how many."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from jobcore.models import JobFilter, JobOrder, JsonText
from jobcore.models.caller import Caller
from jobcore.states import Status
from jobcore.store import json_text
from longrun_api.callers import owner_to_look_at
from longrun_api.field_types import Owner, Time
from longrun_api.schemas import TaskSummary

MOST_VALUES: Final = 20
FIELDS: Final = frozenset(TaskSummary.model_fields)


def _json_object(text: str) -> str:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ValueError('must be a JSON object, such as {"customer": 42}') from None
    if not isinstance(value, dict):
        raise ValueError('must be a JSON object, such as {"customer": 42}')
    for path, message in json_text.problems(value, "value"):
        raise ValueError(f"{path}: {message}")
    return json_text.dumps(value)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def names_among(known: frozenset[str]) -> Callable[[str], str]:
    """A check that a text has only these names, separated by commas."""

    def check(text: str) -> str:
        if unknown := [name for name in text.split(",") if name not in known]:
            raise ValueError(f"has unknown names: {', '.join(unknown)[:100]}; known ones: {', '.join(sorted(known))}")
        return text

    return check


Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
Texts = Annotated[list[Text], Field(max_length=MOST_VALUES)]
JsonObject = Annotated[
    str,
    Field(max_length=16_384, json_schema_extra={"contentMediaType": "application/json"}),
    AfterValidator(_json_object),
]


class FilterQuery(BaseModel):
    """Which tasks to return: those that match every parameter."""

    model_config = ConfigDict(extra="forbid")

    status: list[Status] = Field(
        [],
        max_length=MOST_VALUES,
        description="Only tasks with this status; repeat it for any of several.",
        examples=[["FAILED", "CANCELLED"]],
    )
    task_type: Texts = Field([], description="Only tasks of this type; repeat it for any of several.")
    queue: Texts = Field([], description="Only tasks of this queue; repeat it for any of several.")
    tag: Texts = Field([], description="Only tasks with this tag; repeat it for tasks that have all of several.")
    schedule_id: UUID | None = Field(None, description="Only tasks of this schedule.")
    owner: Owner | None = Field(
        None, description="Only tasks of this owner. A caller with an owner sees no others in any case."
    )
    created_after: Time = Field(None, description="Only tasks that were created at this time (RFC 3339) or later.")
    created_before: Time = Field(None, description="Only tasks that were created before this time.")
    finished_after: Time = Field(None, description="Only tasks that ended at this time or later.")
    finished_before: Time = Field(None, description="Only tasks that ended before this time.")
    metadata: JsonObject | None = Field(
        None,
        description="Only tasks whose metadata contains this JSON object: each of its members is there with an equal "
        'value, objects and arrays part by part. `42` is a number and `"42"` a string, as in JSON.',
        examples=['{"customer": 42}'],
    )
    input: JsonObject | None = Field(
        None,
        description="Only tasks whose input contains this JSON object, compared as `metadata` is.",
        examples=['{"url": "https://example.org/"}'],
    )
    error_contains: Text | None = Field(
        None,
        description="Only tasks whose `error` has this text in its type and message, written as `type: message`; "
        "the case of the letters A to Z does not matter.",
        examples=["connection refused"],
    )

    def filter(self, caller: Caller) -> JobFilter:
        """The same, as the store has it, among the tasks that the caller may see; raises InvalidInput."""
        return JobFilter(
            statuses=tuple(sorted(set(self.status))),
            task_types=tuple(sorted(set(self.task_type))),
            queues=tuple(sorted(set(self.queue))),
            tags=tuple(sorted(set(self.tag))),
            schedule_id=self.schedule_id,
            owner=owner_to_look_at(caller, self.owner),
            created_after=self.created_after,
            created_before=self.created_before,
            finished_after=self.finished_after,
            finished_before=self.finished_before,
            metadata=None if self.metadata is None else JsonText(self.metadata),
            input=None if self.input is None else JsonText(self.input),
            error_contains=self.error_contains,
        )


def _hexadecimal(text: str) -> str:
    digits = text.replace("-", "").lower()
    if not re.fullmatch("[0-9a-f]{1,32}", digits):
        raise ValueError("must be the beginning of a UUID, such as 019a5e0c-7c5e")
    return digits


IdPrefix = Annotated[
    str,
    Field(max_length=36, json_schema_extra={"pattern": "^-*([0-9A-Fa-f]-*){1,32}$"}),
    AfterValidator(_hexadecimal),
]


class ListQuery(FilterQuery):
    """Which tasks to return, in which order, and how many."""

    id_prefix: IdPrefix | None = Field(
        None,
        description="Only tasks whose id begins so. Hyphens and the case of letters do not matter.",
        examples=["019a5e0c-7c5e"],
    )
    sort: Literal["created", "-created", "finished", "-finished"] = Field(
        "-created",
        description="By the time of creation or of the end, `-` for the latest first. "
        "A list by the time of the end has only tasks that have ended.",
    )
    fields: Annotated[str, AfterValidator(names_among(FIELDS))] | None = Field(
        None,
        description="Only these members of each task, separated by commas.",
        examples=["task_id,status,finished_at"],
    )
    limit: int = Field(50, ge=1, le=200, description="Maximum number of items in the page.")
    cursor: str | None = Field(
        None, description="`next` of the previous page; it is valid only with the same filter and `sort`."
    )

    def filter(self, caller: Caller) -> JobFilter:
        """The same, as the store has it, among the tasks that the caller may see; raises InvalidInput."""
        return replace(super().filter(caller), id_prefix=self.id_prefix)

    @property
    def order(self) -> JobOrder:
        """The order of `sort`."""
        return JobOrder(by_finish=self.sort.endswith("finished"), descending=self.sort.startswith("-"))

    @property
    def members(self) -> set[str] | None:
        """The names of `fields`; None for all."""
        return None if self.fields is None else set(self.fields.split(","))
