"""A worker's sign of life for probes: a file whose age says whether the worker is looked after.

The main process touches it, and only while the supervisor looks at its children: so it grows old when either of the
two hangs. It says nothing of Redis or PostgreSQL: restarting a worker would not bring those back.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from jobcore.supervision.slots import Slots

BEAT_S: Final = 1.0
HUNG_S: Final = 20.0
"""A look may wait so long for a database that does not answer."""


class HeartbeatFile:
    """Appears once the worker is registered; a file that an earlier worker left is removed at once."""

    def __init__(self, path: Path, slots: Slots) -> None:
        self._path = path
        self._slots = slots
        self._registered = False
        self._due = 0.0
        path.unlink(missing_ok=True)

    def beat(self) -> None:
        """Touch the file if it is time and the worker is looked after."""
        now = time.monotonic()
        self._registered = self._registered or self._slots.worker_id is not None
        if self._registered and now >= self._due and now < self._slots.supervised_at + HUNG_S:
            self._due = now + BEAT_S
            self._path.touch()
