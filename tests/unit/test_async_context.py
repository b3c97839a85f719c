"""The awaitable context stores what the other one stores; a cancelled await leaves nothing half done."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from jobcore.worker.async_context import Stored


def in_a_loop(test: Callable[[Stored], Any]) -> Any:
    return asyncio.run(test(Stored(1)))


class Slow:
    """A call that takes until it is told to end."""

    def __init__(self) -> None:
        self.began, self.may_end = threading.Event(), threading.Event()
        self.ended = False

    def __call__(self) -> int:
        self.began.set()
        self.may_end.wait()
        self.ended = True
        return 5

    async def starts(self) -> None:
        await asyncio.to_thread(self.began.wait)


def test_a_call_that_has_begun_ends_before_its_cancelled_awaiter_goes_on() -> None:
    async def test(stored: Stored) -> None:
        slow = Slow()
        task = asyncio.create_task(stored(slow))
        await slow.starts()
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
            assert not task.done()
        slow.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert slow.ended

    in_a_loop(test)


def test_a_call_that_has_not_begun_never_begins_after_its_awaiter_was_cancelled() -> None:
    async def test(stored: Stored) -> None:
        first, second = Slow(), Slow()
        running, waiting = asyncio.create_task(stored(first)), asyncio.create_task(stored(second))
        await first.starts()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        first.may_end.set()
        assert await running == 5
        assert await stored(lambda: 6) == 6, "the thread has gone on to the next call"
        assert not second.began.is_set()

    in_a_loop(test)


def test_an_error_of_the_call_reaches_its_awaiter_and_one_after_a_cancel_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(stored: Stored) -> None:
        with pytest.raises(ZeroDivisionError):
            await stored(lambda: 1 / 0)
        slow = Slow()

        def failing() -> None:
            slow()
            raise ZeroDivisionError

        task = asyncio.create_task(stored(failing))
        await slow.starts()
        task.cancel()
        await asyncio.sleep(0)
        slow.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    in_a_loop(test)
    assert not caplog.records, "asyncio has nothing to complain about"


def test_a_timeout_of_the_task_is_a_timeout() -> None:
    async def test(stored: Stored) -> None:
        slow = Slow()
        threading.Timer(0.05, slow.may_end.set).start()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await stored(slow)
        assert slow.ended

    in_a_loop(test)
