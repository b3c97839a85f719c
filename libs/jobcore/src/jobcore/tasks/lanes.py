"""The lane of a task type: what a function is decides where it can run."""

from __future__ import annotations

import inspect
from typing import Any

from jobcore.states import Lane


def place(function: Any) -> str:
    """Where a function is defined, for error messages."""
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', function)}"


def is_async(function: Any) -> bool:
    """Whether a call of this returns something to await: an `async def`, or an object whose `__call__` is one."""
    return inspect.iscoroutinefunction(function) or (
        not inspect.isfunction(function) and inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004
    )


def lane_of(function: Any, asked: str | None) -> Lane:
    """The lane in which a child runs this function: the one asked for, else `async` for `async def`, else `process`.

    Raises ValueError, with one line that says what to change, if no lane can run it, or not the one asked for.
    """
    if not callable(function) or inspect.isclass(function):
        raise ValueError(f"@task: {place(function)} is not a function: decorate one that def or async def defines")
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise ValueError(f"@task: {place(function)} is a generator: return the result instead of yielding it")
    if asked is not None and asked not in tuple(Lane):
        raise ValueError(f"@task: {place(function)}: lane must be process, async or thread, not {asked!r}")
    if is_async(function):
        if asked not in (None, Lane.ASYNC):
            raise ValueError(f"@task: {place(function)} is async, so lane={asked!r} cannot run it: leave lane out")
        return Lane.ASYNC
    if asked == Lane.ASYNC:
        raise ValueError(f"@task: {place(function)} is not async, so lane='async' cannot run it: use async def")
    return Lane.PROCESS if asked is None else Lane(asked)
