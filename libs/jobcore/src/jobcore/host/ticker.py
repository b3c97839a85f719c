"""One thread a process that looks, ten times a second, at what must not take too long: calls to a store, threads.

Whoever waits cannot look at the clock, so somebody else does. A look must not block.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Final

from jobcore.telemetry import logs

TICK_S: Final = 0.1
ABSENT_S: Final = 1.0
"""A tick that comes so late means that this process itself did not run: it was frozen, or code held the GIL."""
PATIENCE_TICKS: Final = 3
"""So many ticks are left out then: what arrived meanwhile is read before anybody is called late."""

Look = Callable[[], None]

log = logs.get(__name__)

_looks: list[Look] = []
_failing: set[Look] = set()
_starting = threading.Lock()
_thread: threading.Thread | None = None


def add(look: Look) -> None:
    """Call `look` at each tick from now on."""
    global _thread
    with _starting:
        _looks.append(look)
        if _thread is None:
            _thread = threading.Thread(target=_run, name="ticker", daemon=True)
            _thread.start()


def remove(look: Look) -> None:
    """Call `look` no more; nothing happens if it was not called."""
    with _starting:
        if look in _looks:
            _looks.remove(look)


def _run() -> None:
    patience = 0
    while True:
        due = time.monotonic() + TICK_S
        time.sleep(TICK_S)
        if time.monotonic() > due + ABSENT_S:
            patience = PATIENCE_TICKS
        if patience:
            patience -= 1
            continue
        for look in tuple(_looks):
            _take(look)


def _take(look: Look) -> None:
    try:
        look()
        _failing.discard(look)
    except Exception:
        if look not in _failing:
            _failing.add(look)
            log.exception("a look at what is late failed; it is tried again at each tick")


def _forget() -> None:
    """A fork takes no threads along, and what the parent looked at is not the child's."""
    global _thread, _starting
    _thread = None
    _starting = threading.Lock()
    _looks.clear()
    _failing.clear()


os.register_at_fork(after_in_child=_forget)
