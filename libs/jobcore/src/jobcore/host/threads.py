"""Threads that a process needs for as long as it lives: none ends and none stands still without anybody's notice.

The body of such a thread loops: it says `beat()` when it goes on to something, and `rest()` before it waits for work.
An exception that leaves the body is logged, and the body starts anew after a pause. A thread that has not said a word
for `stall_s` seconds in the middle of its work is logged with its stack; `on_stall` may end the process then.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Final

from jobcore.host import ticker
from jobcore.telemetry import logs, metrics

STALL_S: Final = 60.0
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0

log = logs.get(__name__)

_running: list[LongThread] = []


def stalled() -> list[str]:
    """The names of this process' threads that stand still."""
    return [thread.name for thread in tuple(_running) if thread.stalled]


class LongThread:
    """A daemon thread that runs `body` until it returns."""

    def __init__(
        self,
        name: str,
        body: Callable[[], None],
        *,
        stall_s: float = STALL_S,
        on_stall: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self._body = body
        self._stall_ticks = max(1, round(stall_s / ticker.TICK_S))
        self._on_stall = on_stall
        # counted in ticks, as these stand still with a process that is frozen or whose GIL is held
        self._silent_ticks = 0
        self._resting = False
        self._said = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()
        _running.append(self)
        ticker.add(self._check)

    def join(self, timeout_s: float) -> bool:
        """Wait up to so many seconds for its end; False if it still runs."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def beat(self) -> None:
        """From the thread itself: it goes on to something."""
        self._silent_ticks = 0
        self._resting = False

    def rest(self) -> None:
        """From the thread itself: it waits for work, for as long as there is none."""
        self._resting = True

    @property
    def stalled(self) -> bool:
        """Whether it stands still in the middle of its work, or is gone."""
        return self._silent_ticks > self._stall_ticks or (
            self._thread.ident is not None and not self._thread.is_alive()
        )

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            began_at = time.monotonic()
            try:
                self._body()
                break
            except BaseException:
                log.exception("a thread failed; it starts anew", thread=self.name)
                metrics.thread_failed(self.name, "error")
            self.rest()
            time.sleep(pause_s)
            lived = time.monotonic() - began_at > STALL_S
            pause_s = FIRST_PAUSE_S if lived else min(2 * pause_s, LONGEST_PAUSE_S)
        ticker.remove(self._check)
        _running.remove(self)

    def _check(self) -> None:
        self._silent_ticks = 0 if self._resting else self._silent_ticks + 1
        if not self.stalled:
            if self._said:
                log.info("a thread goes on again", thread=self.name)
            self._said = False
        elif not self._said:
            self._said = True
            log.error("a thread stands still", thread=self.name, stack=self._stack())
            metrics.thread_failed(self.name, "stall")
            if self._on_stall:
                self._on_stall()

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._thread.ident or 0)
        return "".join(traceback.format_stack(frame)) if frame else "it is gone"


os.register_at_fork(after_in_child=_running.clear)
