"""Bounds on the memory of a process that scrapes many pages at once.

Small pages are read side by side. A page that turns out to be large needs a permit until it is scraped, and so does the
parser: the tree of one page of nothing but tags takes 200 MB (see `tree`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

SMALL_BYTES: Final = 1024 * 1024
"""A page of more bytes than this is large."""
LARGE_PAGES: Final = 2
"""The large pages that a process holds at once."""
ASK_S: Final = 0.25


class Permits:
    """A number of permits, which threads share."""

    def __init__(self, count: int) -> None:
        self._free = threading.BoundedSemaphore(count)

    @contextmanager
    def one(self, stop: Callable[[], object]) -> Iterator[None]:
        """Hold a permit in this block; `stop` is called while there is none, and raises to end the wait."""
        while not self._free.acquire(timeout=ASK_S):
            stop()
        try:
            yield
        finally:
            self._free.release()


LARGE: Final = Permits(LARGE_PAGES)
PARSING: Final = Permits(1)
