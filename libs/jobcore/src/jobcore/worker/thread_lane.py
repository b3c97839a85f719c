"""The thread lane: a pool of threads that run `def` tasks which mostly wait, beside each other.

A thread takes one run at a time. Threads start when they are needed, and end when they were not needed for a while.
They are daemons, so that one that does not stop cannot keep its process alive.
"""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from jobcore.supervision.child_state import RunKey
from jobcore.supervision.stops import Stop
from jobcore.telemetry import logs
from jobcore.worker.background_run import BackgroundRun
from jobcore.worker.output_capture import CapturedStream, of_job_in_context
from jobcore.worker.thread_interrupts import ThreadInterrupts

IDLE_S: Final = 60.0
"""A thread ends after so many seconds without a run."""

log = logs.get(__name__)
_Work = tuple[BackgroundRun, contextvars.Context]


class ThreadLane:
    """Runs tasks in threads; `on_ended` gets a run that has ended, from its thread."""

    def __init__(
        self, on_ended: Callable[[Sequence[BackgroundRun]], None], streams: Iterable[CapturedStream] = ()
    ) -> None:
        self._on_ended = on_ended
        self._streams = tuple(streams)
        self._work: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._live: dict[RunKey, ThreadInterrupts] = {}

    def start(self, runs: Sequence[BackgroundRun]) -> None:
        """Start these runs; the caller sees to it that they are not too many."""
        for run in runs:
            with self._lock:
                self._idle -= 1
                lacking = self._idle < 0
                self._idle += lacking
            self._work.put((run, contextvars.copy_context()))
            if lacking:
                threading.Thread(target=self._serve, name="lane", daemon=True).start()

    def interrupt(self, stop: Stop) -> bool:
        """Raise JobInterrupted in the code of this run; False if it is not here. One thread calls it."""
        interrupts = self._live.get(stop.key)
        if interrupts is None:
            return False
        interrupts.interrupt(stop.reason)
        return True

    def _serve(self) -> None:
        logs.of_job_in_context("")
        while work := self._next():
            run, context = work
            context.run(self._run, run)
            with self._lock:
                self._idle += 1
            self._on_ended([run])

    def _next(self) -> _Work | None:
        try:
            return self._work.get(timeout=IDLE_S)
        except queue.Empty:
            with self._lock:
                if self._idle > 0:  # else a run is on its way to this thread
                    self._idle -= 1
                    return None
            return self._work.get()

    def _run(self, run: BackgroundRun) -> None:
        interrupts = self._live[run.key] = ThreadInterrupts()
        run.began = time.monotonic()
        try:
            with of_job_in_context(str(run.claim.id), self._streams):
                outcome = run.job.execute(interrupts)
        except BaseException as error:
            log.error("a run failed outside its task; it is handed back", job_id=str(run.claim.id), exc_info=error)
            outcome, interrupts.tainted = None, True
        finally:
            del self._live[run.key]
        run.tainted = interrupts.tainted
        run.end(outcome)
