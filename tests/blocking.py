"""A call that blocks in C, and goes on when a signal arrives: no handler of Python runs before it returns."""

from __future__ import annotations

import ctypes

SECONDS = 600


def block_through(signals: int) -> None:
    """Block for SECONDS at a time; so many signals each end a sleep and begin another one, the next one ends the call.

    This is what happens to a signal that arrives just before a call that blocks. `bsearch` compares by `nanosleep`,
    which says "less" when a signal ends it: the search goes on in the lower half, until nothing is left.
    """
    libc = ctypes.CDLL(None)
    libc.bsearch.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p]
    span, count = (ctypes.c_long * 2)(SECONDS, 0), 2 ** (signals + 1) - 1
    remaining = (ctypes.c_long * 2 * count)()
    nanosleep = ctypes.cast(libc.nanosleep, ctypes.c_void_p)
    libc.bsearch(span, remaining, count, ctypes.sizeof(span), nanosleep)
