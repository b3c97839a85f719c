"""A supervisor's view of one child whose process is not there: what is sent to it is noted."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from uuid import uuid4

import pytest

from jobcore.host.processes import Process
from jobcore.settings import WorkerSettings
from jobcore.states import Lane
from jobcore.supervision import escalation
from jobcore.supervision.child_state import RunKey
from jobcore.supervision.children import Children, Death
from jobcore.supervision.escalation import Escalation
from jobcore.supervision.slot import STOP_SIGNAL
from jobcore.supervision.slots import Slots
from jobcore.supervision.stops import StopReason
from jobcore.worker.child_claims import ChildClaims

SETTINGS = WorkerSettings(cancel_signal_s=2, cancel_kill_s=10, retire_s=30)


@dataclass
class Recorder(Children):
    """Children to whom signals are noted instead of sent."""

    sent: list[tuple[int, int]] = field(default_factory=list)
    blocks: bool = False
    """Whether the child's main thread has begun a call that blocks, before its handler could run."""

    def signal(self, slot: int, number: int) -> None:
        """Note it."""
        self.sent.append((slot, number))
        main = self.slots[slot].read().main
        if number == STOP_SIGNAL and main is not None and not self.blocks:
            self.slots[slot].post_interrupted(main.key)

    def kill(self, slot: int, culprits: frozenset[RunKey] = frozenset()) -> None:
        """Note it, once."""
        if slot not in self._killed_for:
            self._killed_for[slot] = culprits
            self.signal(slot, signal.SIGKILL)

    def end_leftovers(self, deaths: Sequence[Death]) -> None:
        """These children have left no process."""

    def bury(self, slot: int) -> None:
        """Free the slot."""
        self._killed_for.pop(slot, None)
        self.slots[slot].clear()

    @property
    def killed(self) -> bool:
        """Whether any child was sent SIGKILL."""
        return any(number == signal.SIGKILL for _, number in self.sent)


class Supervised:
    """One child with a slot, its escalation, and a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slots = Slots(2, os.getpid())
        self.slot = self.slots[0]
        self.children = Recorder(self.slots, Process(os.getpid()))
        self.escalation = Escalation(self.slots, self.children, SETTINGS)
        self.child = ChildClaims(self.slot, os.getpid())

    def claim(self, count: int = 1) -> list[RunKey]:
        """The child claims jobs, which it has not started yet."""
        keys = [RunKey(uuid4(), number) for number in range(1, count + 1)]
        self.child.claiming()
        self.child.claimed(keys)  # type: ignore[arg-type]  # id and fence are all that is read
        return keys

    def run(self, lane: Lane) -> RunKey:
        """The child claims a job and runs it."""
        (key,) = self.claim()
        if lane is Lane.PROCESS:
            self.child.begin(key, None)
        else:
            self.child.begin_background([(key, lane, None)])
        return key

    def end(self, key: RunKey) -> None:
        """The code of a run ends, and its outcome is stored."""
        state = self.slot.read()
        if state.main and state.main.key == key:
            self.child.end()
        else:
            self.child.end_background([key])
        self.child.remove([key])

    def request(self, key: RunKey, reason: StopReason = StopReason.CANCEL) -> None:
        """Ask for the stop of this run, which must be accepted."""
        assert self.escalation.request(0, key, reason)
        self.escalation.escalate()

    def pass_s(self, seconds: float) -> None:
        """Let time pass, with a round of the supervisor every fifth of a second."""
        for _ in range(round(seconds * 5)):
            self.now += 0.2
            self.escalation.escalate()

    @property
    def interrupted(self) -> set[RunKey]:
        """The runs that the child is told to interrupt."""
        return {stop.key for stop in self.slot.stops.values() if stop.interrupt}


@contextmanager
def supervised(monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervised]:
    """A supervised child whose supervisor reads the clock `now`."""
    with monkeypatch.context() as patch:
        child = Supervised()
        patch.setattr(escalation, "time", SimpleNamespace(monotonic=lambda: child.now))
        yield child
