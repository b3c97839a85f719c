"""Walks through the tasks of a filter in steps, each bounded, until a page is full or the walk has gone far enough.

Most filters have an index, and the first step fills the page. For others a step may find nothing among thousands of
tasks. So a walk ends after `MAX_EXAMINED` tasks or `MAX_S` seconds, whatever it found, and the next page continues
there.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from jobcore.models import JobPosition
from longrun_api.paging import MAX_BYTES, SLICE, Filling, Page

MAX_EXAMINED: Final = 10_000
"""Tasks that one request looks at."""
MAX_S: Final = 0.5
"""Seconds after which a walk begins no other step."""
MAX_STEP: Final = 500
STEP_S: Final = 0.05
"""Seconds that one step should take: large inputs make tasks dear to look at."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a step found: positions of tasks with their JSON. See `jobcore.store.listing.Step`."""

    rows: Sequence[tuple[JobPosition, bytes]]
    examined: int
    reached: JobPosition | None
    ended: bool


Step = Callable[[JobPosition | None, int, int], Awaitable[Found]]
"""Finds at most a number of tasks behind a position, among a number of candidates."""


async def walk(
    step: Step, start: JobPosition | None, limit: int, max_bytes: int = MAX_BYTES, max_examined: int = MAX_EXAMINED
) -> Page[JobPosition]:
    """Read a page of at most `limit` items and about `max_bytes` bytes."""
    filling: Filling[JobPosition] = Filling(limit, max_bytes)
    filling.last = start
    pace = Pace(max_examined)
    while True:
        wanted = filling.wanted
        found = await step(filling.last, wanted + 1, max(pace.step, wanted + 1))
        if not filling.take(found.rows[:wanted]):
            return filling.page(has_more=True)
        if len(found.rows) > wanted:
            if filling.is_full:
                return filling.page(has_more=True)
            continue
        if found.ended:
            return filling.page(has_more=False)
        filling.last = found.reached
        if pace.is_over(found.examined):
            return filling.page(has_more=True)


class Pace:
    """The pace of a walk: how many candidates the next step has, and whether the walk is over."""

    def __init__(self, max_examined: int) -> None:
        self._left = max_examined
        self._began = self._step_began = time.monotonic()
        self.step = SLICE

    def is_over(self, examined: int) -> bool:
        """Count a step; whether it was the last one."""
        now = time.monotonic()
        factor = STEP_S / max(now - self._step_began, 0.001)
        self.step = max(SLICE, min(MAX_STEP, int(self.step * factor)))
        self._step_began = now
        self._left -= examined
        return self._left <= 0 or now - self._began > MAX_S
