"""A run that is interrupted without mercy, and counts where each interrupt struck; for every lane of `def` tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from jobcore.supervision.child_state import RunKey
from jobcore.supervision.stops import StopReason
from jobcore.worker.interrupts import JobInterrupted

SPINS = 200
PARTS = 6


class Interruptible(Protocol):
    """Calls task code that may be interrupted."""

    def call(self, key: RunKey, function: Callable[[], None], /) -> Any:
        """Call task code."""

    def shield(self) -> AbstractContextManager[None]:
        """Delay an interrupt until the end of this block."""


def run_once(interrupts: Interruptible, key: RunKey, seen: Counter[str]) -> None:
    """One run, part of it shielded. Counts it if it was `struck`, and what must not be.

    That is an interrupt that came `twice`, in `shielded` code, or for another reason than a cancel (`mistaken`).
    """
    struck = 0

    def task() -> None:
        nonlocal struck
        for _ in range(PARTS):
            try:
                _spin_shielded(interrupts, seen)
                spin()
            except JobInterrupted as interrupted:
                struck += 1
                seen["mistaken"] += interrupted.reason is not StopReason.CANCEL

    try:
        interrupts.call(key, task)
    except JobInterrupted:
        struck += 1
    seen["struck"] += bool(struck)
    seen["twice"] += struck > 1


def spin() -> None:
    """Run some bytecode, at each of which an interrupt may strike."""
    for _ in range(SPINS):
        pass


def _spin_shielded(interrupts: Interruptible, seen: Counter[str]) -> None:
    shielded = False
    try:
        with interrupts.shield(), interrupts.shield():
            shielded = True
            spin()
            shielded = False
    finally:
        seen["shielded"] += shielded
