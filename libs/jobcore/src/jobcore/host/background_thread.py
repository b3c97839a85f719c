"""Threads that work for as long as their process lives: each is restarted if it fails, and reported if it hangs.

`run` of such a thread is a loop that calls `beat()` before each piece of work, and `rest()` or `pause()` while it waits
for work. If an exception leaves `run`, it is logged and counted, and `run` is called again after a pause. If the thread
works on one thing for more than `stall_s` seconds, its stack is logged and counted, and `on_stall` is called.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from typing import Final

from jobcore.host import ticker
from jobcore.telemetry import logs, metrics

STALL_S: Final = 60.0
STOP_S: Final = 5.0
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0

log = logs.get(__name__)

_running: list[BackgroundThread] = []


def stalled() -> list[str]:
    """The names of this process's threads that are stalled."""
    return [thread.name for thread in tuple(_running) if thread.stalled]


class BackgroundThread:
    """A daemon thread that calls `run` until it returns; a subclass says what `run` does.

    `stop_s` is how long `stop` waits for the end, `stall_s` how long one piece of work may take, both in seconds.
    """

    def __init__(self, name: str, *, stop_s: float = STOP_S, stall_s: float = STALL_S) -> None:
        self.name = name
        self._stop_s = stop_s
        # counted in ticks, because a process that is frozen, or whose GIL is held, has none
        self._stall_ticks = max(1, round(stall_s / ticker.TICK_S))
        self._silent_ticks = 0
        self._resting = False
        self._stall_reported = False
        self._stop_requested = threading.Event()
        self._thread = threading.Thread(target=self._run_until_it_returns, name=name, daemon=True)

    def run(self) -> None:
        """Work until `stopping`; called again after an exception."""
        raise NotImplementedError

    def on_stop(self) -> None:
        """Called by `stop` once `stopping` is true: wake `run` if it waits for anything but `pause`."""

    def on_stall(self) -> None:
        """Called from the ticker when the thread stalls; must not block."""

    def start(self) -> None:
        """Start the thread."""
        # before the thread starts, because one that has nothing to do ends at once and takes both back
        _running.append(self)
        ticker.add(self._check_for_stall)
        self._thread.start()

    def stop(self) -> bool:
        """Ask the thread to end and wait up to `stop_s` seconds; False, and a log line, if it still runs."""
        self._stop_requested.set()
        self.on_stop()
        if self._thread.ident is not None:
            self._thread.join(self._stop_s)
        if self._thread.is_alive():
            log.error("thread did not end in time", thread=self.name)
            return False
        return True

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop_requested.is_set()

    @property
    def stalled(self) -> bool:
        """Whether it has worked on one thing for more than `stall_s` seconds, or died."""
        died = self._thread.ident is not None and not self._thread.is_alive()
        return self._silent_ticks > self._stall_ticks or died

    def beat(self) -> None:
        """From the thread itself: the next piece of work begins."""
        self._silent_ticks = 0
        self._resting = False

    def rest(self) -> None:
        """From the thread itself: it waits for work from here on, however long."""
        self._resting = True

    def pause(self, seconds: float) -> bool:
        """From the thread itself: wait for so many seconds, or until `stop` is called; True if it was."""
        self.rest()
        stopping = self._stop_requested.wait(seconds)
        self.beat()
        return stopping

    def _run_until_it_returns(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            began_at = time.monotonic()
            try:
                self.run()
                break
            except BaseException:
                log.exception("thread failed; restarting it", thread=self.name)
                metrics.thread_failed(self.name, "error")
            if self.stopping:
                time.sleep(FIRST_PAUSE_S)
            self.pause(pause_s)
            lived_long = time.monotonic() - began_at > STALL_S
            pause_s = FIRST_PAUSE_S if lived_long else min(2 * pause_s, LONGEST_PAUSE_S)
        ticker.remove(self._check_for_stall)
        _running.remove(self)

    def _check_for_stall(self) -> None:
        self._silent_ticks = 0 if self._resting else self._silent_ticks + 1
        if not self.stalled:
            if self._stall_reported:
                log.info("thread continues", thread=self.name)
            self._stall_reported = False
        elif not self._stall_reported:
            self._stall_reported = True
            log.error("thread is stalled", thread=self.name, stack=self._stack())
            metrics.thread_failed(self.name, "stall")
            self.on_stall()

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._thread.ident or 0)
        return "".join(traceback.format_stack(frame)) if frame else "the thread has ended"


os.register_at_fork(after_in_child=_running.clear)
