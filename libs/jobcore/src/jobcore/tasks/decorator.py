"""`@task` registers a function as a task type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypedDict, TypeVar, Unpack, overload

from pydantic import BaseModel

from jobcore.tasks.context import JobContext
from jobcore.tasks.registry import TaskType, registry
from jobcore.tasks.retry import RetryPolicy
from jobcore.tasks.signature import Signature, check_callable, read

DEFAULT_QUEUE: Final = "default"

Function = TypeVar("Function", bound=Callable[..., Any])
Input = TypeVar("Input", bound=BaseModel)
Output = TypeVar("Output", bound=BaseModel)


class TaskOptions(TypedDict, total=False):
    """The options of `task`. Times are seconds."""

    queue: str
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


@overload
def task(function: Function, /) -> Function: ...


@overload
def task(
    name: str, /, *, input: type[Input], output: type[Output], **options: Unpack[TaskOptions]
) -> Callable[[Callable[[JobContext, Input], Output]], Callable[[JobContext, Input], Output]]: ...


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
        check_callable(function)
        signature = read(function) if input is None or output is None else Signature(input, output)
        registry.add(_task_type(name or function.__name__, function, signature, **options))
        return function

    return register


def _task_type(
    name: str,
    function: Callable[..., Any],
    signature: Signature,
    *,
    queue: str = DEFAULT_QUEUE,
    timeout_s: float | None = None,
    example: Mapping[str, Any] | None = None,
    **retry: Any,
) -> TaskType:
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
    )
