"""Names the run that blocks the event loop of this child, in the run's own log; ends the child if its loop has died.

The supervisor sees the stall from outside, even while native code holds the interpreter's lock. It cannot see which
asyncio task it is; this thread can, as soon as it gets the lock.
"""

from __future__ import annotations

import sys
import sysconfig
import time
from types import FrameType
from typing import Final

from jobcore.host.process_tree import kill_this_process
from jobcore.supervision.slot import BEAT_S, Slot
from jobcore.telemetry import logs
from jobcore.worker.async_lane import AsyncLane

STALL_S: Final = 1.0
LIBRARIES: Final = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))

log = logs.get(__name__)


class LoopStalls:
    """Looks at the loop's beat; reports each stall once."""

    def __init__(self, slot: Slot, lane: AsyncLane) -> None:
        self._slot = slot
        self._lane = lane
        self._reported = 0.0

    def check(self) -> None:
        """Look once; a thread that is not the loop's calls this a few times a second."""
        if self._lane.died:
            # the supervisor sees whose code the loop executed, and returns the jobs of this process
            log.error("the thread of the event loop has ended; this child ends and its jobs run elsewhere")
            kill_this_process()
        beat, run = self._slot.loop_beat, self._lane.executing
        if not beat or beat == self._reported or run is None:
            return
        late_s = time.monotonic() - beat - BEAT_S
        frame = sys._current_frames().get(self._lane.thread.ident or 0)
        # looked at again, because the loop may have gone on before its frame was taken
        same = self._slot.loop_beat == beat and self._lane.executing is run
        if late_s > STALL_S and frame is not None and same:
            self._reported = beat
            run.store.buffer.add_line("warning", _message(late_s, frame))
            run.store.event_added()


def _message(late_s: float, frame: FrameType) -> str:
    own = _first_own(frame)
    inside = "" if own is frame else f", inside {_place(frame)}"
    return (
        f"this task has blocked the event loop for {late_s:.1f} s, and every other async run of its process: "
        f"{_place(own)}{inside}; await instead, use asyncio.to_thread, or define the task with def"
    )


def _first_own(frame: FrameType) -> FrameType:
    """The innermost frame that is not a library's, or the innermost frame of all."""
    found: FrameType | None = frame
    while found is not None:
        if not found.f_code.co_filename.startswith(LIBRARIES):
            return found
        found = found.f_back
    return frame


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
