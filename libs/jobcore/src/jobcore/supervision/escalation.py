"""Stops one run, from a request to a kill, and never stops another.

    stop request    the run finds it when it asks `ctx.cancelled`            (cancel; at once)
    interrupt       SIGUSR2: JobInterrupted inside the task's own code       (cancel: after 2 s; else at once)
    kill            SIGKILL of that one child and what its run started       (8 s after the interrupt)

A child whose run has a stop request starts no other run until the request is withdrawn. Only this module withdraws it,
once the slot no longer shows that run. So the interrupt and the kill can only reach the run they are meant for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from jobcore.settings import WorkerSettings
from jobcore.supervision.child_state import RunKey
from jobcore.supervision.children import Children
from jobcore.supervision.slots import STOP_SIGNAL, Slots, StopReason
from jobcore.telemetry import logs

log = logs.get(__name__)


@dataclass
class StopRequest:
    """A run that must stop, and how far the escalation went."""

    key: RunKey
    reason: StopReason
    signal_at: float
    kill_at: float
    signalled: bool = False
    killed: bool = False


class Escalation:
    """Stops runs; at most one stop request a slot."""

    def __init__(self, slots: Slots, children: Children, settings: WorkerSettings) -> None:
        self._slots = slots
        self._children = children
        self._signal_s = settings.cancel_signal_s
        self._kill_s = max(settings.cancel_kill_s, settings.cancel_signal_s)
        self._requests: dict[int, StopRequest] = {}

    def request(self, slot: int, key: RunKey, reason: StopReason) -> bool:
        """Begin to stop this run; False if there is a stop request already, or if the run does not run."""
        if slot in self._requests or self._slots[slot].read().run != key:
            return False
        now = time.monotonic()
        grace_s = self._signal_s if reason is StopReason.CANCEL else 0.0
        self._requests[slot] = StopRequest(key, reason, now + grace_s, now + grace_s + self._kill_s - self._signal_s)
        self._slots[slot].request_stop(key, reason)
        return True

    def escalate(self) -> None:
        """Take each stop request a step further, and withdraw those whose run is over."""
        now = time.monotonic()
        for slot, request in list(self._requests.items()):
            state = self._slots[slot].read()
            if state.known and state.run != request.key:
                self.forget(slot)
                self._slots[slot].withdraw_stop()
            elif now >= request.kill_at and not request.killed:
                log.warning(
                    "killing a child whose job did not stop", job_id=str(request.key.id), why=request.reason.name
                )
                request.signalled = request.killed = True
                self._children.kill(slot)
            elif now >= request.signal_at and not request.signalled:
                request.signalled = True
                self._children.signal(slot, STOP_SIGNAL)

    def stopped_by(self, slot: int) -> StopRequest | None:
        """The stop request that ended the child in this slot, if one did, by an interrupt or a kill."""
        request = self._requests.get(slot)
        return request if request and request.signalled else None

    def forget(self, slot: int) -> None:
        """Drop the stop request of a slot whose child died or whose run ended."""
        self._requests.pop(slot, None)
