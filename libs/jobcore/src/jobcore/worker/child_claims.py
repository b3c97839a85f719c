"""The claims of this child, and those that it runs. They are written to its slot at every change.

The supervisor reads the slot. A lock orders the changes of the main thread and the completer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Final

from jobcore.host.processes import started
from jobcore.models import Claim
from jobcore.states import Lane
from jobcore.supervision.child_state import IDLE, ChildState, RunKey, RunState
from jobcore.supervision.slot import Slot
from jobcore.telemetry import logs

POLL_S: Final = 0.01

log = logs.get(__name__)


class ChildClaims:
    """What a child writes to its slot."""

    def __init__(self, slot: Slot, pid: int) -> None:
        self._slot = slot
        self._lock = threading.Lock()
        self._state = IDLE._replace(pid=pid)
        # what the state has as tuples: with many runs, finding one of them in a tuple costs more than writing it
        self._claims: dict[RunKey, None] = {}
        self._background: dict[RunKey, RunState] = {}
        self._has_slot = False

    def take_slot(self, timeout_s: float) -> bool:
        """Take the slot once the supervisor has cleared it after a dead child; False if that takes over `timeout_s`."""
        if self._has_slot:
            return True
        give_up = time.monotonic() + timeout_s
        while self._slot.pid != 0:
            if time.monotonic() > give_up:
                log.error("the supervisor did not clear the slot of a dead child", slot=self._slot.index)
                return False
            time.sleep(POLL_S)
        self._slot.take(self._state.pid, started(self._state.pid))
        self._has_slot = True
        return True

    def claiming(self) -> None:
        """A claim begins: from now on this child may have claims that it does not know yet."""
        with self._lock:
            self._change(self._state._replace(claiming=True))

    def claimed(self, claims: Iterable[Claim]) -> None:
        """The claim returned these jobs. One write ends the claiming and adds them, so none is ever missing."""
        keys = [RunKey(claim.id, claim.fence) for claim in claims]
        with self._lock:
            self._claims.update(dict.fromkeys(keys))
            claims_now = tuple(self._claims) if keys else self._state.claims
            self._change(self._state._replace(claiming=False, claims=claims_now))

    def begin(self, key: RunKey, timeout_s: float | None) -> None:
        """The code of this run starts on the main thread; `timeout_s` is its time limit."""
        now = time.monotonic()
        run = RunState(key, Lane.PROCESS, now, None if timeout_s is None else now + timeout_s)
        with self._lock:
            pid, claiming, claims, _, background, _ = self._state
            self._change(ChildState(pid, claiming, claims, run, background))

    def end(self) -> None:
        """The code of the run on the main thread has ended; the claim stays until its outcome is stored."""
        with self._lock:
            pid, claiming, claims, _, background, _ = self._state
            self._change(ChildState(pid, claiming, claims, None, background))

    def begin_background(self, runs: Iterable[tuple[RunKey, Lane, float | None]]) -> None:
        """The code of these runs (key, lane, time limit) starts on the event loop or in threads."""
        now = time.monotonic()
        began = {
            key: RunState(key, lane, now, None if timeout_s is None else now + timeout_s)
            for key, lane, timeout_s in runs
        }
        with self._lock:
            self._background.update(began)
            self._change(self._state._replace(background=tuple(self._background.values())))

    def end_background(self, keys: Iterable[RunKey]) -> None:
        """The code of these runs has ended, and so has everything that it started in this process."""
        with self._lock:
            for key in keys:
                self._background.pop(key, None)
            self._change(self._state._replace(background=tuple(self._background.values())))

    def remove(self, keys: Iterable[RunKey]) -> None:
        """The outcomes or hand-backs of these runs are stored."""
        with self._lock:
            for key in keys:
                self._claims.pop(key, None)
            self._change(self._state._replace(claims=tuple(self._claims)))

    @property
    def background(self) -> int:
        """How many runs are under way on the event loop and in threads."""
        return len(self._state.background)

    def _change(self, state: ChildState) -> None:
        self._state = state
        self._slot.write(state)
