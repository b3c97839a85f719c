"""The heartbeat file of a worker, for liveness probes: its age shows whether the worker's own processes work.

The main process touches it as long as the supervisor checks the children, so it becomes old when either process hangs.
It does not depend on Redis or PostgreSQL, because restarting a worker would not repair those.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from jobcore.supervision.slots import Slots

BEAT_S: Final = 1.0
HUNG_S: Final = 20.0
"""The supervisor hangs if its last check is older, in seconds; a check may wait for a database that is silent."""


class HeartbeatFile:
    """The file appears once the worker is registered; the file of an earlier worker is removed at once."""

    def __init__(self, path: Path, slots: Slots) -> None:
        self._path = path
        self._slots = slots
        self._registered = False
        self._due = 0.0
        path.unlink(missing_ok=True)

    def beat(self) -> None:
        """Touch the file once in BEAT_S seconds while the supervisor works."""
        now = time.monotonic()
        self._registered = self._registered or self._slots.worker_id is not None
        if self._registered and now >= self._due and now < self._slots.supervised_at + HUNG_S:
            self._due = now + BEAT_S
            self._path.touch()
