"""Registered task types, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from jobcore.errors import FieldError, UnknownTaskType
from jobcore.states import Lane
from jobcore.tasks.context import Context
from jobcore.tasks.lanes import place
from jobcore.tasks.retry import RetryPolicy
from jobcore.tasks.signature import Keywords

TaskFunction = Callable[..., Any]
INTERNAL: Final = "longrun."
"""How the names of Longrun's own task types begin, which nobody submits."""


@dataclass(frozen=True, slots=True)
class TaskType:
    """A registered task: its name, its function, its models, its queue, its lane and how it is retried."""

    name: str
    function: TaskFunction
    input_model: type[BaseModel]
    output_model: type[BaseModel]
    queue: str
    description: str
    retry: RetryPolicy
    timeout_s: float | None
    example: Mapping[str, Any] | None
    keywords: Keywords | None = None
    """How a plain function gets the context and the input; None: as its two positional arguments."""
    lane: Lane = Lane.PROCESS

    def arguments(self, ctx: Context, value: BaseModel) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        """The positional and the keyword arguments of a call of `function`."""
        return ((ctx, value), {}) if self.keywords is None else ((), self.keywords(ctx, value))


class Registry:
    """The task types of this process, by name."""

    def __init__(self) -> None:
        self._types: dict[str, TaskType] = {}
        self.broken: dict[str, str] = {}
        """Why modules of task types cannot be imported, by the name of the module or file."""

    def add(self, task_type: TaskType) -> None:
        """Register a task type. Raises ValueError if another function has the name."""
        known = self._types.get(task_type.name)
        if known is not None and known.function is not task_type.function:
            raise ValueError(
                f"two functions are registered as task type {task_type.name!r} "
                f"({place(known.function)} and {place(task_type.function)}): rename one"
            )
        self._types[task_type.name] = task_type

    def keep(self, wanted: Callable[[TaskType], bool]) -> None:
        """Remove every other task type."""
        self._types = {name: task_type for name, task_type in self._types.items() if wanted(task_type)}

    def get(self, name: str) -> TaskType:
        """The task type of that name. Raises UnknownTaskType, which names those that clients can submit."""
        try:
            return self._types[name]
        except KeyError:
            known = ", ".join(task_type.name for task_type in self.submittable()) or "none"
            broken = "".join(f"; cannot import {module}: {why}" for module, why in self.broken.items())
            raise UnknownTaskType(
                FieldError("task_type", f"{name!r} is not registered here; known task types: {known}{broken}")
            ) from None

    def get_submittable(self, name: str) -> TaskType:
        """`get` for a client, to which Longrun's own task types do not exist."""
        if name.startswith(INTERNAL):
            raise UnknownTaskType(FieldError("task_type", f"{name!r} is one of Longrun's own, which nobody submits"))
        return self.get(name)

    def submittable(self) -> list[TaskType]:
        """The task types that clients can submit, sorted by name."""
        return [task_type for task_type in self.all() if not task_type.name.startswith(INTERNAL)]

    def of(self, function: TaskFunction) -> TaskType:
        """The task type of that function. Raises ValueError if `@task` has not registered it."""
        for task_type in self._types.values():
            if task_type.function is function:
                return task_type
        raise ValueError(f"{place(function)} is not a task: decorate it with @task")

    def names(self) -> tuple[str, ...]:
        """The names of all task types, sorted."""
        return tuple(sorted(self._types))

    def in_background(self) -> tuple[str, ...]:
        """The names of the task types that do not run on the main thread of a child: those in the lanes async and
        thread."""
        return tuple(name for name in self.names() if self._types[name].lane is not Lane.PROCESS)

    def all(self) -> list[TaskType]:
        """All task types, sorted by name."""
        return [self._types[name] for name in sorted(self._types)]


registry: Final = Registry()
"""Where `task` registers: the task types of this process."""
