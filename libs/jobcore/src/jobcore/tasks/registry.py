"""Registered task types, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from jobcore.errors import FieldError, PermanentError, UnknownTaskType
from jobcore.tasks.context import JobContext
from jobcore.tasks.retry import RetryPolicy

ENTRY_POINT_GROUP: Final = "longrun.tasks"
DEFAULT_QUEUE: Final = "default"

Input = TypeVar("Input", bound=BaseModel)
Output = TypeVar("Output", bound=BaseModel)
TaskFunction = Callable[[JobContext, Any], Any]


@dataclass(frozen=True, slots=True)
class TaskType:
    """A registered task: its name, its function, its models, its queue and how it is retried."""

    name: str
    function: TaskFunction
    input_model: type[BaseModel]
    output_model: type[BaseModel]
    queue: str
    description: str
    retry: RetryPolicy
    timeout_s: float | None
    example: Mapping[str, Any] | None


class Registry:
    """The task types of this process, by name."""

    def __init__(self) -> None:
        self._types: dict[str, TaskType] = {}

    def add(self, task_type: TaskType) -> None:
        """Register a task type. Raises ValueError if another function has the name."""
        known = self._types.get(task_type.name)
        if known is not None and known.function is not task_type.function:
            raise ValueError(
                f"two functions are registered as task type {task_type.name!r} "
                f"({_place(known.function)} and {_place(task_type.function)}): rename one"
            )
        self._types[task_type.name] = task_type

    def get(self, name: str) -> TaskType:
        """The task type of that name. Raises UnknownTaskType, which names those that exist."""
        try:
            return self._types[name]
        except KeyError:
            known = ", ".join(sorted(self._types)) or "none"
            raise UnknownTaskType(
                FieldError("task_type", f"{name!r} is not registered here; known task types: {known}")
            ) from None

    def names(self) -> tuple[str, ...]:
        """The names of all task types, sorted."""
        return tuple(sorted(self._types))

    def all(self) -> list[TaskType]:
        """All task types, sorted by name."""
        return [self._types[name] for name in sorted(self._types)]


registry: Final = Registry()
"""Where `task` registers: the task types of this process."""


def task(
    name: str,
    *,
    input: type[Input],
    output: type[Output],
    queue: str = DEFAULT_QUEUE,
    timeout_s: float | None = None,
    max_attempts: int = 3,
    backoff_s: float = 2.0,
    backoff_max_s: float = 600.0,
    jitter: float = 0.25,
    retry_on: tuple[type[Exception], ...] = (Exception,),
    never_on: tuple[type[Exception], ...] = (PermanentError,),
    example: Mapping[str, Any] | None = None,
) -> Callable[[Callable[[JobContext, Input], Output]], Callable[[JobContext, Input], Output]]:
    """Register the decorated function as task type `name`.

    Times are seconds; `timeout_s` limits one attempt (None: no limit). `GET /task-types` shows the first line of the
    function's docstring, and `example`, an input. Raises ValueError for an option that makes no sense.
    """

    def register(function: Callable[[JobContext, Input], Output]) -> Callable[[JobContext, Input], Output]:
        registry.add(
            TaskType(
                name=name,
                function=function,
                input_model=input,
                output_model=output,
                queue=queue,
                description=(function.__doc__ or "").strip().split("\n")[0],
                retry=RetryPolicy(max_attempts, backoff_s, backoff_max_s, jitter, retry_on, never_on),
                timeout_s=timeout_s,
                example=example,
            )
        )
        return function

    return register


@cache
def load_tasks() -> Registry:
    """Import the module of every entry point of the group `longrun.tasks`; returns the registry."""
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        entry_point.load()
    return registry


def _place(function: TaskFunction) -> str:
    return f"{function.__module__}.{getattr(function, '__qualname__', function)}"
