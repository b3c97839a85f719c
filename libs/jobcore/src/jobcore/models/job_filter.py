"""Which jobs a list has, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, Self
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
    owner: str | None = None
    """Whose jobs; None: everyone's."""
    id_prefix: str | None = None
    """The first hexadecimal digits of the id, 1 to 32 in lower case."""

    @property
    def ids(self) -> tuple[UUID, UUID] | None:
        """The first and the last id with the prefix; None: all ids."""
        if self.id_prefix is None:
            return None
        return UUID(hex=self.id_prefix.ljust(32, "0")), UUID(hex=self.id_prefix.ljust(32, "f"))

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
        """Whether status, task type, schedule and owner alone decide, so that no row needs to be read to know."""
        return self == JobFilter(self.statuses, self.task_types, schedule_id=self.schedule_id, owner=self.owner)

    @classmethod
    def of_parameters(cls, given: Mapping[str, Any]) -> Self:
        """The filter of `parameters`. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(**{_FIELDS.get(name, name): _READ.get(name, str)(value) for name, value in given.items()})

    @property
    def parameters(self) -> dict[str, Any]:
        """The conditions that are set, as parameters of `GET /tasks`: a JSON value of names, texts and lists."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        names = {field: name for name, field in _FIELDS.items()}
        return {
            names.get(name, name): list(value)
            if isinstance(value, tuple)
            else value.isoformat()
            if isinstance(value, datetime)
            else str(value)
            for name, value in given.items()
            if value not in (None, ())
        }


_FIELDS: Final = {"status": "statuses", "task_type": "task_types", "queue": "queues", "tag": "tags"}
"""The parameters whose names differ from those of the fields."""

_READ: Final[dict[str, Callable[[Any], Any]]] = {
    "status": lambda values: tuple(Status(value) for value in values),
    "task_type": tuple,
    "queue": tuple,
    "tag": tuple,
    "schedule_id": UUID,
    "created_after": datetime.fromisoformat,
    "created_before": datetime.fromisoformat,
    "finished_after": datetime.fromisoformat,
    "finished_before": datetime.fromisoformat,
    "metadata": JsonText,
    "input": JsonText,
}
"""How the values of parameters are read; others are texts."""


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
