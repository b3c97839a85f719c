"""Task types: a function with a name, an input model, an output model and a retry policy.

    @task("web_scrape", input=ScrapeInput, output=ScrapeResult, queue="scrape", max_attempts=3)
    def web_scrape(ctx: JobContext, input: ScrapeInput) -> ScrapeResult: ...

Packages announce the module that holds their tasks as an entry point of the group `longrun.tasks`;
`load_tasks()` imports them all, so the API can check an input against the very model that the worker uses.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from pydantic import BaseModel

from jobcore.errors import FieldError, PermanentError, RetryableError, UnknownTaskType

ENTRY_POINT_GROUP = "longrun.tasks"
DEFAULT_QUEUE = "default"
LONGEST_DELAY_S: Final = 366 * 86_400.0
"""However long a task asks to wait."""

P = ParamSpec("P")


class JobContext(Protocol):
    """What a running task knows of its job and can say about it.

    Every method may raise `JobCancelled` when the job was cancelled meanwhile.
    """

    @property
    def job_id(self) -> str:
        """The job's id, a UUIDv7."""

    @property
    def attempt(self) -> int:
        """The number of this run of the job, from 1."""

    @property
    def fence(self) -> int:
        """Rises with every claim of this job: send it along to guard effects outside Longrun."""

    @property
    def cancelled(self) -> bool:
        """True once the job was cancelled, or its worker wants it to stop."""

    @property
    def checkpoint_state(self) -> Any:
        """What an earlier attempt last gave to `checkpoint`, or None."""

    def raise_if_cancelled(self) -> None:
        """Raise `JobCancelled` if the job was cancelled: call it where stopping is safe."""

    def log(self, message: str, level: str = "info") -> None:
        """Add a line to the job's log; `level` is debug, info, warning or error.

        It waits while a thousand lines wait to be stored. Lines beyond LONGRUN_MAX_LOG_LINES are dropped.
        """

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Say how far the job is. Streams see each call; PostgreSQL keeps at most one a second.

        `done` and `total` are finite real numbers, also Decimal, Fraction or NumPy's; InvalidValue for others.
        """

    def checkpoint(self, state: Any) -> None:
        """Store a JSON value durably, before returning: the next attempt finds it in `checkpoint_state`.

        InvalidValue if it is not JSON, or larger than LONGRUN_MAX_RESULT_BYTES.
        """

    def step(self, name: str, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """The result of `function(*args, **kwargs)`, called once a job: a later attempt gets what was stored.

        The result must be JSON, and comes back as JSON gives it: a tuple as a list. It is stored durably before this
        returns. A function that raises is called again by the next attempt; so is one whose process died before its
        result was stored. InvalidStep, which ends the job: the name has been used in this run, or the result is no
        JSON, or too large.
        """


def leaves(error: BaseException | None) -> Iterator[BaseException]:
    """The error, or if it is a group the errors in it and in its groups."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    elif error is not None:
        yield error


Input = TypeVar("Input", bound=BaseModel)
Output = TypeVar("Output", bound=BaseModel)
TaskFunction = Callable[[JobContext, Any], Any]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed attempt is tried again: exponential backoff with jitter, delays in seconds."""

    max_attempts: int = 3
    backoff_s: float = 2.0
    backoff_max_s: float = 600.0
    jitter: float = 0.25
    retry_on: tuple[type[Exception], ...] = (Exception,)
    never_on: tuple[type[Exception], ...] = (PermanentError,)

    def __post_init__(self) -> None:
        """ValueError names what makes no sense."""
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts: must be at least 1, not {self.max_attempts}")
        for name in ("backoff_s", "backoff_max_s"):
            if not 0 <= getattr(self, name) <= LONGEST_DELAY_S:
                raise ValueError(f"{name}: must be 0 to {LONGEST_DELAY_S:.0f} seconds, not {getattr(self, name)}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter: must be 0 to 1, the share by which a delay varies, not {self.jitter}")
        for name in ("retry_on", "never_on"):
            kinds = getattr(self, name)
            if not isinstance(kinds, tuple) or not all(isinstance(k, type) and issubclass(k, Exception) for k in kinds):
                raise ValueError(f"{name}: must be a tuple of exception types, such as (OSError,), not {kinds!r}")

    def of_job(self, own: Mapping[str, float] | None) -> RetryPolicy:
        """This policy with a job's own backoff_s, backoff_max_s and jitter, where it has any."""
        return replace(self, **own) if own else self  # type: ignore[arg-type]

    def delay_s(self, attempt: int, error: Exception | None = None) -> float:
        """Seconds to wait after the failed `attempt` (from 1): backoff × 2^(attempt-1) ± jitter, bounded.

        A `RetryableError` that carries its own delay (HTTP Retry-After) is obeyed as it is; of several in an
        ExceptionGroup the longest.
        """
        retryable = [leaf.delay_s for leaf in leaves(error) if isinstance(leaf, RetryableError)]
        if asked := [delay for delay in retryable if delay is not None]:
            return min(max(0.0, *asked), LONGEST_DELAY_S)
        delay: float = min(self.backoff_max_s, self.backoff_s * 2 ** min(attempt - 1, 32))
        return delay * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311

    def retries(self, error: Exception) -> bool:
        """Whether this kind of error is worth another attempt; an ExceptionGroup if all that it holds are.

        One PermanentError in a group is enough to end the job: another attempt would run into it again.
        """
        return self._retries(error, within=False)

    def _retries(self, error: BaseException, *, within: bool) -> bool:
        wanted = within or isinstance(error, self.retry_on)
        if isinstance(error, self.never_on):
            return False
        if isinstance(error, BaseExceptionGroup):
            return all(self._retries(inner, within=wanted) for inner in error.exceptions)
        return wanted


@dataclass(frozen=True, slots=True)
class TaskType:
    """A registered task: its name, where it runs, what it takes and gives, and how it is retried."""

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
        """Register a task type; ValueError if another function has the name."""
        known = self._types.get(task_type.name)
        if known is not None and known.function is not task_type.function:
            raise ValueError(f"two tasks are called {task_type.name!r}: rename one")
        self._types[task_type.name] = task_type

    def get(self, name: str) -> TaskType:
        """The task type of that name; UnknownTaskType names those that exist."""
        try:
            return self._types[name]
        except KeyError:
            known = ", ".join(sorted(self._types)) or "none"
            raise UnknownTaskType(
                FieldError("task_type", f"{name!r} is not registered here; known task types: {known}")
            ) from None

    def names(self) -> tuple[str, ...]:
        """The name of every task type, in order."""
        return tuple(sorted(self._types))

    def all(self) -> list[TaskType]:
        """Every task type, by name."""
        return [self._types[name] for name in sorted(self._types)]


registry = Registry()


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

    Its docstring's first line is what users read in `GET /task-types`; `example` is an input to show them.
    Times are seconds. `timeout_s` bounds one attempt (None: no bound).
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
    """Import every installed module of the entry point group `longrun.tasks`; returns the registry."""
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        entry_point.load()
    return registry
