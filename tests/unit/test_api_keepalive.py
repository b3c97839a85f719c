"""Idle streams get comments, others none, and one that cannot take a comment costs nothing more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from math import inf

import pytest

from longrun_api import keepalive
from longrun_api.keepalive import Keepalive
from tests.waiting import until_async


class Stream:
    """A stream that was last sent something at `sent_at`; it notes its comments, and is idle again after each."""

    def __init__(self, sent_at: float = inf, *, takes: bool = True) -> None:
        self.sent_at = sent_at
        self.comments = 0
        self._takes = takes

    def ping(self) -> None:
        self.comments += 1
        if self._takes:
            self.sent_at = asyncio.get_running_loop().time()


def run(test: Callable[[Keepalive], Awaitable[None]]) -> None:
    async def with_keepalive() -> None:
        streams = Keepalive()
        await streams.start()
        try:
            await test(streams)
        finally:
            await streams.close()

    asyncio.run(with_keepalive())


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keepalive, "PING_S", 0.2)
    monkeypatch.setattr(keepalive, "CHECK_S", 0.02)


def test_an_idle_stream_gets_one_comment_after_the_other() -> None:
    async def test(streams: Keepalive) -> None:
        stream = Stream(asyncio.get_running_loop().time())
        with streams.pinged(stream):
            await until_async(lambda: stream.comments >= 3)

    run(test)


def test_a_stream_that_has_not_begun_or_is_not_idle_gets_none() -> None:
    async def test(streams: Keepalive) -> None:
        idle, new = Stream(asyncio.get_running_loop().time()), Stream()
        busy = Stream(asyncio.get_running_loop().time() + 3600)
        with streams.pinged(idle), streams.pinged(new), streams.pinged(busy):
            await until_async(lambda: idle.comments >= 2)
        assert (new.comments, busy.comments) == (0, 0)

    run(test)


def test_a_stream_that_cannot_take_a_comment_is_asked_again_at_the_next_check_and_not_at_once() -> None:
    async def test(streams: Keepalive) -> None:
        stalled = Stream(0.0, takes=False)
        idle = Stream(0.0)
        with streams.pinged(stalled), streams.pinged(idle):
            await until_async(lambda: idle.comments >= 2)
        assert 1 <= stalled.comments < 100

    run(test)


def test_a_closed_stream_gets_none_and_is_not_kept() -> None:
    async def test(streams: Keepalive) -> None:
        closed, idle = Stream(0.0), Stream(0.0)
        with streams.pinged(closed):
            pass
        with streams.pinged(idle):
            await until_async(lambda: idle.comments >= 2)
        assert closed.comments == 0

    run(test)
