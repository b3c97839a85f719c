"""Forks of pytest in which only the main thread gets signals.

Libraries start threads in every fork (OpenTelemetry does, once a test has used it). The kernel gives a signal to any
thread that does not block it; a thread inherits what is blocked when it starts.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def blocked(*numbers: signal.Signals) -> Iterator[None]:
    """Block these signals while pytest forks; the fork unblocks them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
