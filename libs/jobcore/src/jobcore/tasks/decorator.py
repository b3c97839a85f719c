"""`@task` registers a function as a task type."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal, Protocol, TypedDict, TypeVar, Unpack, overload

from pydantic import BaseModel

from jobcore.sealing.fields import MASK, has_secrets
from jobcore.states import Lane
from jobcore.tasks.context import AsyncContext, JobContext
from jobcore.tasks.lanes import lane_of, place
from jobcore.tasks.registry import TaskType, registry
from jobcore.tasks.retry import RetryPolicy
from jobcore.tasks.signature import Signature, check_context, read

DEFAULT_QUEUE: Final = "default"

Function = TypeVar("Function", bound=Callable[..., Any])
Input = TypeVar("Input", bound=BaseModel)
Output = TypeVar("Output", bound=BaseModel)


class TaskOptions(TypedDict, total=False):
    """The options of `task`. Times are seconds."""

    queue: str
    lane: Literal["process", "async", "thread"]
    """Where a child runs it: `process`, alone on the main thread, is the default of `def`; `thread` is for a `def` that
    mostly waits; `async` is the lane of every `async def`."""
    timeout_s: float | None
    """The limit of one attempt; None: no limit."""
    max_attempts: int
    backoff_s: float
    backoff_max_s: float
    jitter: float
    retry_on: tuple[type[Exception], ...]
    never_on: tuple[type[Exception], ...]
    example: Mapping[str, Any] | None
    """An input, which `GET /task-types` shows."""


class _LongForm(Protocol[Input, Output]):
    """Registers a function that takes the context and an input model."""

    @overload
    def __call__(self, function: Callable[[JobContext, Input], Output], /) -> Callable[[JobContext, Input], Output]: ...

    @overload
    def __call__(
        self, function: Callable[[AsyncContext, Input], Awaitable[Output]], /
    ) -> Callable[[AsyncContext, Input], Awaitable[Output]]: ...


@overload
def task(function: Function, /) -> Function: ...


@overload
def task(
    name: str, /, *, input: type[Input], output: type[Output], **options: Unpack[TaskOptions]
) -> _LongForm[Input, Output]: ...


@overload
def task(name: str | None = None, /, **options: Unpack[TaskOptions]) -> Callable[[Function], Function]: ...


def task(
    name: Any = None,
    /,
    *,
    input: type[BaseModel] | None = None,
    output: type[BaseModel] | None = None,
    **options: Unpack[TaskOptions],
) -> Any:
    """Register the decorated function as a task type.

    With `input` and `output` the function is called with the context and an input model. Without them its parameters
    are the fields of the input (see `signature`), and its name is the default of `name`. `GET /task-types` shows the
    first line of its docstring. Raises ValueError for a function that cannot be a task, and for an option that makes no
    sense.
    """
    if name is not None and not isinstance(name, str):
        return task()(name)
    if unknown := options.keys() - TaskOptions.__annotations__.keys():
        raise TypeError(f"@task has no option {', '.join(sorted(unknown))}")
    if (input is None) != (output is None):
        raise ValueError("@task: give both input and output, or neither and let the signature say it")

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        lane = lane_of(function, options.get("lane"))
        signature = read(function) if input is None or output is None else _given(function, input, output)
        given: dict[str, Any] = {**options, "lane": lane}
        registry.add(_task_type(name or function.__name__, function, signature, **given))
        return function

    return register


def _given(function: Callable[..., Any], input: type[BaseModel], output: type[BaseModel]) -> Signature:
    for annotation in getattr(function, "__annotations__", {}).values():
        check_context(function, annotation)
    return Signature(input, output)


def _task_type(
    name: str,
    function: Callable[..., Any],
    signature: Signature,
    *,
    lane: Lane,
    queue: str = DEFAULT_QUEUE,
    timeout_s: float | None = None,
    example: Mapping[str, Any] | None = None,
    **retry: Any,
) -> TaskType:
    output = signature.output_model
    if output.__pydantic_complete__ and has_secrets(output):
        raise ValueError(
            f"@task: {place(function)}: its result has a secret, which would be stored as {MASK}: "
            "hand it over outside of Longrun"
        )
    return TaskType(
        name=name,
        function=function,
        input_model=signature.input_model,
        output_model=signature.output_model,
        queue=queue,
        description=(function.__doc__ or "").strip().split("\n")[0],
        retry=RetryPolicy(**retry),
        timeout_s=timeout_s,
        example=example,
        keywords=signature.keywords,
        lane=lane,
    )
