"""The runs of a child beside its main thread: async runs on one event loop, `def` runs in threads, within one room.

Loop and threads start with the first run that needs them. They go on after `work` has returned.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Final

from jobcore.models import Claim
from jobcore.states import Lane
from jobcore.supervision.slot import Slot
from jobcore.supervision.stops import Stop
from jobcore.tasks import Registry
from jobcore.worker.async_lane import AsyncLane
from jobcore.worker.background_run import BackgroundRun
from jobcore.worker.child_claims import ChildClaims
from jobcore.worker.output_capture import CapturedStream
from jobcore.worker.room import Room
from jobcore.worker.run import JobRun
from jobcore.worker.run_database import CONNECTIONS, RunDatabase
from jobcore.worker.runs import Claimed, Ended, Runs
from jobcore.worker.stop_watch import StopWatch
from jobcore.worker.thread_lane import ThreadLane


class Background:
    """Starts async and thread runs, and ends them."""

    def __init__(
        self,
        runs: Runs,
        child_claims: ChildClaims,
        slot: Slot,
        *,
        registry: Registry,
        db: RunDatabase,
        places: int,
        hand_back: Callable[[Claim], None],
        streams: Iterable[CapturedStream] = (),
    ) -> None:
        self.room = Room(places)
        self._runs = runs
        self._claims = child_claims
        self._registry = registry
        self._db = db
        self._places = places
        self._hand_back = hand_back
        self._streams = tuple(streams)
        self._watch = StopWatch(slot, self.room, self._interrupt)
        self._watching = False

    def takes(self, claim: Claim) -> bool:
        """Whether this job runs beside the main thread."""
        return self._lane(claim) is not Lane.PROCESS

    def start(self, claims: Sequence[Claim], claimed: Claimed) -> None:
        """Start these jobs at once; the room is large enough."""
        if not self._watching:
            self._watching = True
            self._watch.start()
        runs = [self._run(claim) for claim in claims]
        self.room.take(len(runs))
        self._claims.begin_background((run.key, run.lane, run.claim.timeout_s) for run in runs)
        lost = [run for run in runs if not self._runs.may_begin(run.claim, claimed)]
        for lane, host in ((Lane.ASYNC, self._async_lane), (Lane.THREAD, self._thread_lane)):
            if starting := [run for run in runs if run.lane is lane and run not in lost]:
                host().start(starting)
        if lost:
            self._end(lost)

    def _run(self, claim: Claim) -> BackgroundRun:
        store = self._runs.store(claim, self._db)
        return BackgroundRun(claim, store, self._lane(claim), JobRun(store, self._registry))

    def _lane(self, claim: Claim) -> Lane:
        return self._registry.get(claim.task_type).lane

    def _end(self, runs: Sequence[BackgroundRun]) -> None:
        """Called by a lane, from a thread of its own."""
        self._claims.end_background(run.key for run in runs)
        for run in runs:
            self._runs.end(Ended(run.claim, run.job, run.outcome, run.duration_s, run.tainted))
        self.room.give_back(len(runs))

    def _interrupt(self, stop: Stop) -> bool:
        return any(host.interrupt(stop.key, stop.reason) for host in self._hosts)
