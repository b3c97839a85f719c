"""One thread a process that checks deadlines ten times a second: of calls to a store, and of threads that may hang.

A thread that waits cannot watch the clock itself. A check must not block.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Final

from jobcore.telemetry import logs

TICK_S: Final = 0.1
FROZEN_S: Final = 1.0
"""A tick this late, in seconds, means that the process itself did not run: it was frozen, or code held the GIL."""
SKIPPED_TICKS: Final = 3
"""How many ticks are skipped after that, so that answers that have arrived are read before anybody counts as late."""

Check = Callable[[], None]

log = logs.get(__name__)

_checks: list[Check] = []
_failing: set[Check] = set()
_starting = threading.Lock()
_thread: threading.Thread | None = None


def add(check: Check) -> None:
    """Call `check` at each tick from now on."""
    global _thread
    with _starting:
        _checks.append(check)
        if _thread is None:
            _thread = threading.Thread(target=_run, name="ticker", daemon=True)
            _thread.start()


def remove(check: Check) -> None:
    """Stop calling `check`; does nothing if it was not added."""
    with _starting:
        if check in _checks:
            _checks.remove(check)


def _run() -> None:
    skip = 0
    while True:
        due = time.monotonic() + TICK_S
        time.sleep(TICK_S)
        if time.monotonic() > due + FROZEN_S:
            skip = SKIPPED_TICKS
        if skip:
            skip -= 1
            continue
        for check in tuple(_checks):
            _call(check)


def _call(check: Check) -> None:
    try:
        check()
        _failing.discard(check)
    except Exception:
        if check not in _failing:
            _failing.add(check)
            log.exception("deadline check failed; retrying at the next tick")


def _reset() -> None:
    """After a fork: the child has no thread, and the checks are the parent's."""
    global _thread, _starting
    _thread = None
    _starting = threading.Lock()
    _checks.clear()
    _failing.clear()


os.register_at_fork(after_in_child=_reset)
