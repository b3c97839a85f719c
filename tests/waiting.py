"""`until`: waits for a condition with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

POLL_S = 0.02
PATIENCE_S = 60.0
"""The time that a test gives to what takes a second on an idle machine."""
T = TypeVar("T")
What = str | Callable[[], object]
"""What the test waits for, in words; or a function that describes, at the deadline, what it found instead."""


def until(
    condition: Callable[[], T | None], within_s: float = PATIENCE_S, what: What = "", poll_s: float = POLL_S
) -> T:
    """Wait until the condition returns a truthy value, and return it; AssertionError if it does not within `within_s`.

    It calls the condition every `poll_s` seconds: use a longer interval only where a call is expensive. The condition
    can raise AssertionError itself when it can no longer become true.
    """
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        _give_up_after(deadline, condition, within_s, what)
        time.sleep(poll_s)
    return value


async def until_async(condition: Callable[[], T | None], within_s: float = PATIENCE_S, what: What = "") -> T:
    """`until` for an event loop; the condition must not block."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        _give_up_after(deadline, condition, within_s, what)
        await asyncio.sleep(POLL_S)
    return value


def _give_up_after(deadline: float, condition: Callable[[], object], within_s: float, what: What) -> None:
    if time.monotonic() > deadline:
        found = what() if callable(what) else what
        raise AssertionError(f"not within {within_s:g} s: {found or condition.__name__}")
