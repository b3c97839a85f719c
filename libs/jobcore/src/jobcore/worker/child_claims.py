"""What this child answers for: the claims it holds and the one it runs, written to its slot at every change.

The child's main thread and its completer both change it, so a lock orders them; the supervisor reads the slot.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Final

from jobcore.host.processes import started
from jobcore.models import Claim
from jobcore.supervision.child_state import IDLE, ChildState, RunKey
from jobcore.supervision.slots import Slot
from jobcore.telemetry import logs

POLL_S: Final = 0.01

log = logs.get(__name__)


class ChildClaims:
    """The child's side of its slot."""

    def __init__(self, slot: Slot, pid: int) -> None:
        self._slot = slot
        self._lock = threading.Lock()
        self._state = IDLE._replace(pid=pid)
        self._has_slot = False

    def take_slot(self, timeout_s: float) -> bool:
        """Take the slot; waits until the supervisor has accounted for the dead child that had it before."""
        if self._has_slot:
            return True
        give_up = time.monotonic() + timeout_s
        while self._slot.pid != 0:
            if time.monotonic() > give_up:
                log.error("the slot of a dead child was not cleared", slot=self._slot.index)
                return False
            time.sleep(POLL_S)
        self._slot.take(self._state.pid, started(self._state.pid))
        self._has_slot = True
        return True

    def claiming(self) -> None:
        """A claim is on its way: jobs may become ours at any moment."""
        with self._lock:
            self._change(self._state._replace(claiming=True))

    def claimed(self, claims: Iterable[Claim]) -> None:
        """The claim came back with these jobs, in one step: there is no moment in which they are nobody's."""
        keys = tuple(RunKey(claim.id, claim.fence) for claim in claims)
        with self._lock:
            self._change(self._state._replace(claiming=False, claims=self._state.claims + keys))

    def begin(self, key: RunKey, timeout_s: float | None) -> None:
        """This job's code runs from now on."""
        now = time.monotonic()
        with self._lock:
            pid, claiming, held = self._state[:3]
            deadline = None if timeout_s is None else now + timeout_s
            self._change(ChildState(pid, claiming, held, key, now, deadline))

    def end(self) -> None:
        """No job's code runs now; what ran is still held until its outcome is stored."""
        with self._lock:
            pid, claiming, held, _, since = self._state[:5]
            self._change(ChildState(pid, claiming, held, None, since, None))

    def remove(self, keys: Iterable[RunKey]) -> None:
        """These jobs are stored or handed back."""
        gone = set(keys)
        with self._lock:
            self._change(self._state._replace(claims=tuple(key for key in self._state.claims if key not in gone)))

    def _change(self, state: ChildState) -> None:
        self._state = state
        self._slot.write(state)
