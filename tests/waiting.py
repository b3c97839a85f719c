"""`until`: waits for a condition with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

POLL_S = 0.02
LONGEST_POLL_S = 0.1
PATIENCE_S = 60.0
"""The time that a test gives to what takes a second on an idle machine."""
T = TypeVar("T")
What = str | Callable[[], object]
"""What the test waits for, in words; or a function that describes, at the deadline, what it found instead."""


def until(
    condition: Callable[[], T | None], within_s: float = PATIENCE_S, what: What = "", poll_s: float | None = None
) -> T:
    """Wait until the condition returns a truthy value, and return it; AssertionError if it does not within `within_s`.

    It calls the condition every `poll_s` seconds, or, without it, the less often the longer it has waited: a call
    takes time from what the test waits for. The condition can raise AssertionError itself when it can no longer
    become true.
    """
    began = time.monotonic()
    while not (value := condition()):
        _give_up_after(began + within_s, condition, within_s, what)
        time.sleep(poll_s or _pause_after(time.monotonic() - began))
    return value


async def until_async(condition: Callable[[], T | None], within_s: float = PATIENCE_S, what: What = "") -> T:
    """`until` for an event loop; the condition must not block."""
    began = time.monotonic()
    while not (value := condition()):
        _give_up_after(began + within_s, condition, within_s, what)
        await asyncio.sleep(_pause_after(time.monotonic() - began))
    return value


def _pause_after(waited_s: float) -> float:
    return min(max(POLL_S, waited_s / 20), LONGEST_POLL_S)


def _give_up_after(deadline: float, condition: Callable[[], object], within_s: float, what: What) -> None:
    if time.monotonic() > deadline:
        found = what() if callable(what) else what
        raise AssertionError(f"not within {within_s:g} s: {found or condition.__name__}")
