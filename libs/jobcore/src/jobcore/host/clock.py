"""The clock that leases are measured by: it also counts the time in which the host is suspended.

`time.monotonic()` stops during a suspend (on Linux and on macOS). A worker that measured its lease by it would believe
after the resume that the lease still holds, while other workers run its jobs. All processes of a host share this clock.
"""

from __future__ import annotations

import time
from typing import Final

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Linux: CLOCK_BOOTTIME (clock_gettime(2)). macOS: its CLOCK_MONOTONIC runs during sleep."""


def now() -> float:
    """Seconds since a fixed moment, including suspended time; comparable only within this host."""
    return time.clock_gettime(_CLOCK)
