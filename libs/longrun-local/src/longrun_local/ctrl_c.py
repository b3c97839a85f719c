"""Ctrl-C asks a task in the main thread to stop, then interrupts it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

INTERRUPT_S: Final = 2.0
"""Seconds from a Ctrl-C to the exception inside a task that did not look whether it should stop."""
NUDGE: Final = signal.SIGURG
"""A signal that nothing else uses."""
NUDGE_S: Final = 0.05


@contextmanager
def interruptible(stop: threading.Event, cancel: Callable[[], object]) -> Iterator[None]:
    """Ctrl-C sets `stop`, and INTERRUPT_S later calls `cancel`; a second one raises KeyboardInterrupt."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        os.write(2, b"longrun: cancelling; press Ctrl-C again to stop it at once\n")
        signal.setitimer(signal.ITIMER_REAL, INTERRUPT_S)

    before = signal.signal(signal.SIGINT, interrupt), signal.signal(signal.SIGALRM, lambda *_: cancel())
    try:
        with _prompt_handlers():
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGALRM, before[1])


@contextmanager
def _prompt_handlers() -> Iterator[None]:
    """Run handlers soon after each signal, also if the main thread blocks.

    Python notes a signal, and runs its handler between two instructions. A call that blocks may begin in between, and
    nothing would interrupt it then. So a thread follows each signal with others, until the handler of one has run:
    Python runs the handlers of all signals that it has noted at once.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    main = threading.get_ident()
    handled = threading.Event()

    def nudge() -> None:
        while received := os.read(reading, 1):
            if received[0] == NUDGE:
                continue
            handled.clear()
            while not handled.wait(NUDGE_S) and not ended.is_set():
                signal.pthread_kill(main, NUDGE)

    ended = threading.Event()
    before = (
        signal.signal(NUDGE, lambda *_: handled.set()),
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False),
    )
    thread = threading.Thread(target=nudge, name="signal-nudge", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(before[1])
        os.close(writing)
        thread.join()
        os.close(reading)
        signal.signal(NUDGE, before[0])
