"""The runs of a child beside its main thread: async runs on one event loop, `def` runs in threads, within one room.

Loop and threads start with the first run that needs them. They go on after `work` has returned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from jobcore.models import Claim
from jobcore.settings import WorkerSettings
from jobcore.states import Lane
from jobcore.supervision.child_state import RunKey
from jobcore.supervision.slot import Slot
from jobcore.supervision.stops import Stop, StopReason
from jobcore.tasks import Registry
from jobcore.telemetry import logs
from jobcore.worker.async_lane import AsyncLane
from jobcore.worker.background_run import BackgroundRun
from jobcore.worker.child_claims import ChildClaims
from jobcore.worker.loop_stalls import LoopStalls
from jobcore.worker.output_capture import CapturedStream
from jobcore.worker.room import Room
from jobcore.worker.run import JobRun
from jobcore.worker.run_database import CONNECTIONS, RunDatabase
from jobcore.worker.runs import Claimed, Ended, Runs
from jobcore.worker.stop_watch import StopWatch
from jobcore.worker.thread_lane import ThreadLane

FINISH_POLL_S: Final = 0.1
MIN_STOP_S: Final = 1.0

log = logs.get(__name__)


class Host(Protocol):
    """A lane beside the main thread."""

    def start(self, runs: Sequence[BackgroundRun], /) -> None:
        """Start these runs."""

    def interrupt(self, stop: Stop, /) -> bool:
        """Interrupt a run; False if it is not here."""


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
        settings: WorkerSettings,
        streams: Iterable[CapturedStream] = (),
    ) -> None:
        self.room = Room(settings.jobs_per_child)
        self._runs = runs
        self._claims = child_claims
        self._slot = slot
        self._registry = registry
        self._db = db
        self._settings = settings
        self._streams = tuple(streams)
        self._watch = StopWatch(slot, self.room, self._interrupt)
        self._hosts: dict[Lane, Host] = {}
        self._live: dict[RunKey, BackgroundRun] = {}

    def takes(self, claim: Claim) -> bool:
        """Whether this job runs beside the main thread."""
        return self._lane(claim) is not Lane.PROCESS

    def start(self, claims: Sequence[Claim], claimed: Claimed) -> None:
        """Start these jobs at once; there must be room for them."""
        runs = [self._run(claim) for claim in claims]
        self.room.take(len(runs), _suspects(runs))
        self._live.update((run.key, run) for run in runs)
        self._claims.begin_background((run.key, run.lane, run.claim.timeout_s) for run in runs)
        ours = [run for run in runs if self._runs.may_begin(run.claim, claimed)]
        for lane in {run.lane for run in ours}:
            self._host(lane).start([run for run in ours if run.lane is lane])
        if len(ours) < len(runs):
            self._end([run for run in runs if run not in ours])

    def _run(self, claim: Claim) -> BackgroundRun:
        store = self._runs.store(claim, self._db)
        return BackgroundRun(claim, store, self._lane(claim), JobRun(store, self._registry))

    def _lane(self, claim: Claim) -> Lane:
        return self._registry.get(claim.task_type).lane

    def _host(self, lane: Lane) -> Host:
        if not self._hosts:
            self._watch.start()
        if lane not in self._hosts:
            self._hosts[lane] = self._async_lane() if lane is Lane.ASYNC else ThreadLane(self._end, self._streams)
        return self._hosts[lane]

    def _async_lane(self) -> AsyncLane:
        threads = self._settings.jobs_per_child
        lane = AsyncLane(self._slot, self._end, store_threads=CONNECTIONS, threads=threads, streams=self._streams)
        self._watch.stalls = LoopStalls(self._slot, lane)
        return lane

    def _end(self, runs: Sequence[BackgroundRun]) -> None:
        """The code of these runs has ended; a lane calls it from a thread of its own."""
        self._claims.end_background([run.key for run in runs])
        for run in runs:
            self._live.pop(run.key)
            self._runs.end(Ended(run.claim, run.job, run.outcome, run.duration_s, run.tainted))
        self.room.give_back(len(runs), _suspects(runs))

    def _interrupt(self, stop: Stop) -> bool:
        return any(host.interrupt(stop) for host in tuple(self._hosts.values()))

    def finish(self, is_stopped: Callable[[], bool]) -> None:
        """Wait until every run has ended, because this child ends.

        Unless the supervisor stops them (`is_stopped`: the worker drains), runs get LONGRUN_DRAIN_S to finish, and then
        some seconds to stop; they are handed back.
        """
        hand_back_at = time.monotonic() + self._settings.drain_s
        leave_at = hand_back_at + max(MIN_STOP_S, self._settings.cancel_kill_s - self._settings.cancel_signal_s)
        while not self.room.wait_empty(FINISH_POLL_S):
            if is_stopped() or (now := time.monotonic()) < hand_back_at:
                continue
            if now > leave_at:
                self._leave_behind()
                return
            for run in tuple(self._live.values()):
                run.store.drain()
                self._interrupt(Stop(run.key, StopReason.DRAIN, interrupt=True))  # each is interrupted once

    def _leave_behind(self) -> None:
        """Some runs do not stop: they end with this process, and the supervisor returns their jobs."""
        left = tuple(self._live)
        log.error("a child ends with runs that do not stop", jobs=[str(key.id) for key in left])
        self._claims.end_background(left)  # their jobs did not crash it


def _suspects(runs: Sequence[BackgroundRun]) -> list[int]:
    return [run.claim.suspected for run in runs if run.claim.suspected]
