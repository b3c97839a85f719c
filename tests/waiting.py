"""Waiting for what a test needs to see: the only loops in the tests that look again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

POLL_S = 0.02
PATIENCE_S = 60.0
"""So long a test waits for what takes a second on a machine that has nothing else to do."""
T = TypeVar("T")
What = str | Callable[[], object]
"""What is waited for, in words, or a function that says at the end how things are instead."""


def until(
    condition: Callable[[], T | None], within_s: float = PATIENCE_S, what: What = "", poll_s: float = POLL_S
) -> T:
    """The first truthy value of the condition; AssertionError if there is none within so many seconds.

    It looks every `poll_s` seconds, which need only be longer where a look is dear. The condition may raise
    AssertionError itself, when it sees that it will never be true.
    """
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        _give_up_after(deadline, condition, within_s, what)
        time.sleep(poll_s)
    return value


async def until_async(condition: Callable[[], T | None], within_s: float = PATIENCE_S, what: What = "") -> T:
    """The same for an event loop, which goes on meanwhile; the condition must not block."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        _give_up_after(deadline, condition, within_s, what)
        await asyncio.sleep(POLL_S)
    return value


def _give_up_after(deadline: float, condition: Callable[[], object], within_s: float, what: What) -> None:
    if time.monotonic() > deadline:
        found = what() if callable(what) else what
        raise AssertionError(f"not within {within_s:g} s: {found or condition.__name__}")
