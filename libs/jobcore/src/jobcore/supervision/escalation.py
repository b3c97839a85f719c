"""Stops runs, from a request to a kill, and never stops another run by mistake.

    request      the run finds it when it asks `ctx.cancelled`                      (at once)
    interrupt    process: SIGUSR2 raises JobInterrupted inside the task's code,     (cancel: after 2 s; else at once)
                          sent again until its handler has run
                 async:   the child cancels the run's asyncio task                  (at once)
                 thread:  the child raises JobInterrupted in the run's thread       (cancel: after 2 s; else at once)
    retire       the child claims nothing more, and its other runs may finish       (8 s after the interrupt)
    kill         SIGKILL of that child and of what its runs started                 (once it has no other run or claim;
                                                                                     at most LONGRUN_RETIRE_S later)

A run alone in its child is killed as soon as its child retires. A child starts no run on its main thread while the run
before it has a request. Only this module withdraws requests, once the slot no longer lists their runs; a child that has
no overdue run any more may claim again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from jobcore.settings import WorkerSettings
from jobcore.states import Lane
from jobcore.supervision.child_state import RunKey
from jobcore.supervision.children import Children
from jobcore.supervision.slot import STOP_SIGNAL, Slot
from jobcore.supervision.slots import Slots
from jobcore.supervision.stops import Stop, StopReason
from jobcore.telemetry import logs

log = logs.get(__name__)


@dataclass
class StopRequest:
    """A run that must stop, and how far the escalation went."""

    key: RunKey
    reason: StopReason
    lane: Lane
    interrupt_at: float
    kill_at: float
    interrupted: bool = False


class Escalation:
    """Stops runs: each has at most one stop request."""

    def __init__(self, slots: Slots, children: Children, settings: WorkerSettings) -> None:
        self._slots = slots
        self._children = children
        self._signal_s = settings.cancel_signal_s
        self._kill_s = max(settings.cancel_kill_s, settings.cancel_signal_s)
        self._retire_s = settings.retire_s
        self._requests: list[dict[RunKey, StopRequest]] = [{} for _ in slots]
        self._written: list[tuple[Stop, ...]] = [() for _ in slots]
        self._kill_by: dict[int, float] = {}

    def request(self, slot: int, key: RunKey, reason: StopReason) -> bool:
        """Stop this run from the next `escalate` on; False if it has a stop request already, or does not run."""
        if key in self._requests[slot]:
            return False
        run = next((run for run in self._slots[slot].read().runs if run.key == key), None)
        if run is None:
            return False
        now = time.monotonic()
        is_cancel = reason is StopReason.CANCEL
        self._requests[slot][key] = StopRequest(
            key,
            reason,
            run.lane,
            # asyncio has one way to tell a task that it is cancelled; other code may find `ctx.cancelled` first
            interrupt_at=now + self._signal_s if is_cancel and run.lane is not Lane.ASYNC else now,
            kill_at=now + self._kill_s if is_cancel else now + self._kill_s - self._signal_s,
        )
        return True

    def escalate(self) -> None:
        """Take each stop request a step further, and withdraw those whose runs are over."""
        now = time.monotonic()
        for slot, requests in zip(self._slots, self._requests, strict=True):
            self._withdraw_ended(slot, requests)
            _interrupt_due(requests, now)
            self._write_stops(slot, requests)
            if any(_awaits_handler(request, slot, now) for request in requests.values()):
                self._children.signal(slot.index, STOP_SIGNAL)
            self._retire(slot, requests, now)

    def request_of(self, slot: int, key: RunKey) -> StopRequest | None:
        """The stop request of this run."""
        return self._requests[slot].get(key)

    def forget(self, slot: int) -> None:
        """Drop the stop requests of a slot whose child died."""
        self._requests[slot].clear()
        self._written[slot] = ()
        self._kill_by.pop(slot, None)

    def _withdraw_ended(self, slot: Slot, requests: dict[RunKey, StopRequest]) -> None:
        if requests and (state := slot.read()).known:
            for key in requests.keys() - {run.key for run in state.runs}:
                del requests[key]

    def _write_stops(self, slot: Slot, requests: dict[RunKey, StopRequest]) -> None:
        stops = tuple(Stop(request.key, request.reason, request.interrupted) for request in requests.values())
        if stops != self._written[slot.index]:
            self._written[slot.index] = stops
            slot.write_stops(stops)

    def _retire(self, slot: Slot, requests: dict[RunKey, StopRequest], now: float) -> None:
        overdue = {request.key for request in requests.values() if now >= request.kill_at}
        kill_by = self._kill_by.get(slot.index)
        if not overdue:
            if kill_by is not None:
                del self._kill_by[slot.index]
                slot.set_retiring(False)
            return
        if kill_by is None:
            kill_by = self._kill_by[slot.index] = now + self._retire_s
            slot.set_retiring(True)
            log.warning("a run did not stop; its child claims nothing more", jobs=_ids(overdue), pid=slot.pid)
        state = slot.read()  # after the child was told: what it claimed before is in its state
        spares_none = not state.known or not (state.claiming or set(state.claims) - overdue)
        if (spares_none or now >= kill_by) and not self._children.is_killed(slot.index):
            neighbours = {run.key for run in state.runs} - overdue
            log.warning("killing a child whose run did not stop", jobs=_ids(overdue), neighbours=_ids(neighbours))
            self._children.kill(slot.index, frozenset(overdue))


def _interrupt_due(requests: dict[RunKey, StopRequest], now: float) -> None:
    """The requests whose interrupt is due count as interrupted from now on."""
    for request in requests.values():
        request.interrupted = request.interrupted or now >= request.interrupt_at


def _awaits_handler(request: StopRequest, slot: Slot, now: float) -> bool:
    """Whether the signal for a run on the main thread is due, and was not handled yet."""
    in_time = request.interrupted and now < request.kill_at
    return in_time and request.lane is Lane.PROCESS and not slot.was_interrupted(request.key)


def _ids(keys: Iterable[RunKey]) -> list[str]:
    return [str(key.id) for key in keys]
