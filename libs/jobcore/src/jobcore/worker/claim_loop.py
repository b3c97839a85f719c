"""The claim loop of a child: what happens inside the Celery task `work(queue)`.

    work(queue)
      └─ until nothing is ready, the time slice is over, or the worker drains:
           room      wait until the child has room for an async or a thread run
           claim     claim up to k jobs durably; send more wake-ups if more is ready than this child claims
           start     start async and thread jobs, which go on after `work` has returned
           run       run the others one after the other while their claims hold; the completer stores outcomes meanwhile
           pace      let some jobs arrive, so that the next claim takes several; not after long async and thread jobs
      └─ flush       wait until all outcomes are stored, then acknowledge the wake-up

A child without room does not return, so Celery gives the next wake-up to one that has room; once a run ends, it claims
again by itself. If jobs are left at the end of a slice, the child sends a follow-up wake-up and returns; without Redis
it continues. A child that retires hands back the jobs that it has not started, sends a follow-up wake-up and returns
after the flush.

While a long job holds the main thread, no wake-up reaches the child. Then another thread claims what runs beside it
(`claims_beside.py`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Final

from jobcore.broker.waker import Waker
from jobcore.host import clock
from jobcore.models import Claim
from jobcore.settings import WorkerSettings
from jobcore.supervision.child_state import MAX_CLAIMS
from jobcore.supervision.slot import Slot
from jobcore.supervision.slots import Slots
from jobcore.tasks import Registry
from jobcore.telemetry import logs
from jobcore.worker.background import Background
from jobcore.worker.batching import MAX_BATCH, BatchSize
from jobcore.worker.child_claims import ChildClaims
from jobcore.worker.claimer import Claimer
from jobcore.worker.completer import Completer
from jobcore.worker.main_lane import MainLane
from jobcore.worker.retirement import Retirement
from jobcore.worker.runs import Claimed

SLICE_S: Final = 5.0
FAN_OUT: Final = 2
"""The wake-ups that a child sends when more is ready than it claims, so that others help."""
FAN_OUT_S: Final = 0.05
"""The time until it sends them again, in seconds."""
PACE_PER_JOB_S: Final = 0.001
"""The minimum time between two claims, in seconds per job of the first one: a claim costs as much as forty quick runs,
so it should return several jobs. The first claim after a wake-up, and a child that finds a backlog, do not wait."""
SHORTEST_PACE_S: Final = 0.010
LONGEST_PACE_S: Final = 0.030
ROOM_POLL_S: Final = 0.1
"""How often a child that waits for room looks whether it should end, in seconds."""

log = logs.get(__name__)


class ClaimLoop:
    """Claims the jobs of one child, and gives them to its lanes."""

    def __init__(
        self,
        slots: Slots,
        slot: Slot,
        child_claims: ChildClaims,
        *,
        claimer: Claimer,
        waker: Waker,
        registry: Registry,
        settings: WorkerSettings,
        completer: Completer,
        main_lane: MainLane,
        background: Background,
        batch_size: BatchSize,
        retirement: Retirement,
    ) -> None:
        self._slots = slots
        self._slot = slot
        self._claims = child_claims
        self._claimer = claimer
        self._waker = waker
        self._types, self._background_types = registry.names(), registry.in_background()
        self._settings = settings
        self._completer = completer
        self._main_lane = main_lane
        self._background = background
        self._room = background.room
        self._batch_size = batch_size
        self._retirement = retirement
        self._fan_out_at = 0.0

    def work(self, queue: str) -> None:
        """Claim and run ready jobs of this queue, until none is left or a time slice is over."""
        if not self._claims.take_slot(self._settings.lease_s):
            return
        slice_end = time.monotonic() + SLICE_S
        try:
            while self._has_room(queue) and self.may_claim():
                if time.monotonic() > slice_end:
                    if self._waker.publish(queue):
                        return
                    slice_end = time.monotonic() + SLICE_S
                claimed_at = time.monotonic()
                claimed = self._claim(queue)
                if claimed is None or not claimed.claims:
                    return
                only_long = self._start(claimed)
                if only_long and not claimed.more:
                    return  # the next wake-up goes to the child with the fewest runs
                if only_long or not claimed.backlog:  # long runs are for other children too
                    _pace(len(claimed.claims), claimed_at)
            if self._retirement.why is not None:
                self._waker.publish(queue)
                self.finish()  # here, because Celery sends a child that has returned its next wake-up
        except BaseException:
            # otherwise this child would keep claims that nobody runs
            self._retirement.ask("the claim loop failed")
            raise
        finally:
            self._completer.flush()

    def finish(self) -> None:
        """Wait until every run has ended and everything is stored, because this child ends."""
        with self._claimer.turn:  # what is claimed beside the main thread has started, and nothing else will be
            pass
        self._background.finish(lambda: self._slots.draining_since is not None)
        self._completer.flush()

    def _has_room(self, queue: str) -> bool:
        """Wait for room; False if this child should rather end."""
        if self._slot.retiring:
            self._waker.wake(queue, 1)
            while self._slot.retiring and not self._is_leaving():
                time.sleep(ROOM_POLL_S)
        return self._wait_for_place()

    def _wait_for_place(self) -> bool:
        while not self._room.wait_free(ROOM_POLL_S):
            if self._is_leaving():
                return False
        return True

    def may_claim(self) -> bool:
        """Whether this child may claim: the lease holds, and neither the child nor the worker is about to end."""
        return not self._is_leaving() and clock.now() < self._slots.deadline

    def _is_leaving(self) -> bool:
        return self._slots.draining_since is not None or self._retirement.why is not None

    def _claim(self, queue: str) -> Claimed | None:
        self._completer.wait_for(at_most=MAX_CLAIMS - MAX_BATCH)
        limit, began = self._batch_size.next(), time.monotonic()
        types = self._background_types if self._room.has_suspects else self._types
        with self._claimer.turn:
            claimed = self._claimer.take(
                queue, types, limit=limit, quick=self._batch_size.quick(), suspected=self._room.suspected
            )
        if claimed is None:
            return None
        count = len(claimed.claims)
        self._batch_size.claimed(count, more=claimed.more)
        if claimed.more and (count == 1 or began > self._fan_out_at):
            self._fan_out_at = began + FAN_OUT_S
            self._waker.wake(queue, FAN_OUT)
        return claimed

    def _start(self, claimed: Claimed) -> bool:
        """Start what runs beside the main thread, and do the rest in order while its claims are fresh.

        True if there was no rest: all are long async and thread jobs.
        """
        at_once: list[Claim] = []
        waiting: deque[Claim] = deque()
        for each in claimed.claims:
            beside = self._background.takes(each) and (each.suspected or each.task_type not in claimed.quick)
            (at_once if beside else waiting).append(each)
        if at_once:
            self._background.start(at_once, claimed)
        nothing_else = not waiting
        if len(waiting) > 1:
            self._completer.watch(waiting)
        began, started = time.monotonic(), 0
        while (claim := _first(waiting)) is not None:
            if self._is_leaving():
                self._completer.hand_back(claim)
            elif not self._background.takes(claim):
                self._main_lane.run(claim, claimed)
                started += claim.task_type in claimed.quick
            elif together := self._start_together(claim, waiting, claimed):
                started += together
            else:
                self._completer.hand_back(claim)
        if started:
            self._batch_size.ended(started, time.monotonic() - began)
        return nothing_else

    def _start_together(self, claim: Claim, waiting: deque[Claim], claimed: Claimed) -> int:
        """Start a quick job and those that follow it, once there is room; 0 if this child should rather end."""
        while self._wait_for_place():
            with self._claimer.turn:
                if self._room.free > 0:
                    together = [claim, *self._others(waiting)]
                    self._background.start(together, claimed)
                    return len(together)
        return 0

    def _others(self, waiting: deque[Claim]) -> Iterator[Claim]:
        """The quick jobs that follow and run beside the main thread, as many as there is room for after one."""
        for _ in range(self._room.free - 1):
            claim = _first(waiting)
            if claim is None:
                return
            if not self._background.takes(claim):
                waiting.appendleft(claim)
                return
            yield claim


def _first(waiting: deque[Claim]) -> Claim | None:
    """Take the first claim; None if the completer has taken the last one."""
    try:
        return waiting.popleft()
    except IndexError:
        return None


def _pace(claimed: int, claimed_at: float) -> None:
    pace_s = min(max(claimed * PACE_PER_JOB_S, SHORTEST_PACE_S), LONGEST_PACE_S)
    time.sleep(max(0.0, claimed_at + pace_s - time.monotonic()))
