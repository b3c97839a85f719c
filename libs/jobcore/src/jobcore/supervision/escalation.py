"""Making one run stop, from a request to a kill, without ever hitting another job.

    post      the run finds it when it asks `ctx.cancelled`            (cancel; at once)
    signal    SIGUSR2: JobInterrupted inside the task's own code       (cancel: after 2 s; timeout, drain: at once)
    kill      SIGKILL of that one child                                (8 s after the signal)

A child that ended the posted run starts no other until the post is taken back, and the post is taken back only here,
when the slot no longer shows that run. So the signal and the kill can only reach the run they are meant for.
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass

from jobcore.settings import WorkerSettings
from jobcore.supervision.children import Children
from jobcore.supervision.slots import STOP_SIGNAL, Key, Post, Slots
from jobcore.telemetry import logs

log = logs.get(__name__)


@dataclass
class Order:
    """A run that must stop, and how far the escalation went."""

    key: Key
    reason: Post
    signal_at: float
    kill_at: float
    signalled: bool = False
    killed: bool = False


class Escalation:
    """At most one order a slot."""

    def __init__(self, slots: Slots, children: Children, settings: WorkerSettings) -> None:
        self._slots = slots
        self._children = children
        self._signal_s = settings.cancel_signal_s
        self._kill_s = max(settings.cancel_kill_s, settings.cancel_signal_s)
        self._orders: dict[int, Order] = {}

    def order(self, slot: int, key: Key, reason: Post) -> bool:
        """Begin to stop this run; False if it is being stopped already or is not running."""
        if slot in self._orders or self._slots[slot].read().run != key:
            return False
        now = time.monotonic()
        patience = self._signal_s if reason is Post.CANCEL else 0.0
        self._orders[slot] = Order(key, reason, now + patience, now + patience + self._kill_s - self._signal_s)
        self._slots[slot].post(key, reason)
        return True

    def press(self) -> None:
        """Take each order a step further, and end those whose run is over."""
        now = time.monotonic()
        for slot, order in list(self._orders.items()):
            state = self._slots[slot].read()
            if state.known and state.run != order.key:
                self.forget(slot)
                self._slots[slot].post(None)
            elif now >= order.kill_at and not order.killed:
                log.warning("killing a child whose job did not stop", job_id=str(order.key.id), why=order.reason.name)
                order.signalled = order.killed = True
                self._children.signal(slot, signal.SIGKILL)
            elif now >= order.signal_at and not order.signalled:
                order.signalled = True
                self._children.signal(slot, STOP_SIGNAL)

    def ended(self, slot: int) -> Order | None:
        """The order that ended the child in this slot, if one did: by a kill, or by a signal that the task let kill."""
        order = self._orders.get(slot)
        return order if order and order.signalled else None

    def forget(self, slot: int) -> None:
        """The slot's child is gone, or its run is over."""
        self._orders.pop(slot, None)
