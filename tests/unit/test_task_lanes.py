"""A function runs in the lane that its kind allows; what no lane can run is refused in one line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel

from jobcore import AsyncContext, JobContext
from jobcore.states import Lane
from jobcore.tasks import Registry, decorator, task


class Model(BaseModel):
    n: int = 1


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry of this test's own."""
    own = Registry()
    monkeypatch.setattr(decorator, "registry", own)
    return own


def waits(x: int, ctx: JobContext) -> int:
    return x


async def awaits(x: int, ctx: AsyncContext) -> int:
    return x


class Callable_:
    async def __call__(self, ctx: AsyncContext, value: Model) -> Model:
        return value


def test_the_kind_of_a_function_says_its_lane_unless_a_thread_is_asked_for(registry: Registry) -> None:
    task("process")(waits)
    task("asked", lane="process")(waits)
    task("thread", lane="thread")(waits)
    task("async")(awaits)
    task("also", lane="async")(awaits)
    task("object", input=Model, output=Model)(Callable_())
    assert {known.name: known.lane for known in registry.all()} == {
        "process": Lane.PROCESS,
        "asked": Lane.PROCESS,
        "thread": Lane.THREAD,
        "async": Lane.ASYNC,
        "also": Lane.ASYNC,
        "object": Lane.ASYNC,
    }
    assert registry.in_background() == ("also", "async", "object", "thread")


def generator(x: int) -> Iterator[int]:
    yield x


async def async_generator(x: int) -> AsyncIterator[int]:
    yield x


def of_the_other_kind(x: int, ctx: AsyncContext) -> int:
    return x


async def of_another_kind(x: int, ctx: JobContext) -> int:
    return x


@pytest.mark.parametrize(
    ("function", "lane", "said"),
    [
        (awaits, "process", "awaits is async, so lane='process' cannot run it: leave lane out"),
        (awaits, "thread", "awaits is async, so lane='thread' cannot run it"),
        (waits, "async", "waits is not async, so lane='async' cannot run it: use async def"),
        (waits, "fiber", "lane must be process, async or thread, not 'fiber'"),
        (waits, 3, "lane must be process, async or thread, not 3"),
        (generator, None, "is a generator: return the result"),
        (async_generator, None, "is a generator: return the result"),
        (of_the_other_kind, "thread", "of_the_other_kind is not async: annotate its context as JobContext"),
        (of_another_kind, None, "of_another_kind is async: annotate its context as AsyncContext"),
        (Model, None, "is not a function"),
    ],
)
def test_what_a_lane_cannot_run_is_refused_in_one_line(
    registry: Registry, function: Callable[..., Any], lane: Any, said: str
) -> None:
    options: dict[str, Any] = {} if lane is None else {"lane": lane}
    for short in (task("short", **options), partial(task("long", input=Model, output=Model, **options))):
        with pytest.raises(ValueError, match=said) as raised:
            short(function)
        assert "\n" not in str(raised.value)
        assert str(raised.value).startswith("@task: ")
    assert registry.names() == ()
