"""Watchdogs enforce the lease: a process that has claims dies when it ends, even without a supervisor.

A thread of the main process watches the children and the supervisor. A thread of each child watches the child itself,
in case the main process is frozen too. A task that holds the GIL stops only the thread of its own child. Both also reap
the orphans that their processes have adopted.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

from jobcore.host import clock
from jobcore.host.background_thread import BackgroundThread
from jobcore.host.process_tree import end_rest, kill_child, kill_this_process
from jobcore.supervision.slot import Slot
from jobcore.supervision.slots import Slots
from jobcore.telemetry import logs
from jobcore.worker import run_processes
from jobcore.worker.heartbeat import HeartbeatFile
from jobcore.worker.pool import reap_adopted

TICK_S: Final = 0.25
MARGIN_S: Final = 2 * TICK_S
"""The watchdogs act this many seconds before the lease ends, so that nobody is alive at its end."""
EX_SOFTWARE: Final = 70
PR_SET_PDEATHSIG: Final = 1

log = logs.get(__name__)


class _Watchdog(BackgroundThread):
    def __init__(self, check: Callable[[], None]) -> None:
        super().__init__("watchdog")
        self._check = check

    def run(self) -> None:
        while not self.pause(TICK_S):
            self._check()


def watch_as_main(slots: Slots, supervisor_pid: int, heartbeat: HeartbeatFile | None = None) -> None:
    """Start the watchdog of the main process, which also touches the heartbeat file."""

    killed: set[int] = set()

    def check() -> None:
        if heartbeat:
            heartbeat.beat()
        reap_adopted(supervisor_pid)
        if _exited(supervisor_pid):
            log.error("the supervisor died; the worker ends and its jobs run elsewhere")
            for slot in slots:
                kill_child(slot.pid)
            end_rest()
            os._exit(EX_SOFTWARE)
        if clock.now() > slots.deadline - MARGIN_S:
            for slot in slots:
                state = slot.read()
                if state.busy:
                    if state.pid not in killed:
                        killed.add(state.pid)
                        log.error("the lease ended; killing a child that has claims", pid=state.pid, slot=slot.index)
                    kill_child(state.pid)
        else:
            killed.clear()

    _Watchdog(check).start()


def watch_as_child(slots: Slots, slot: Slot) -> None:
    """Start the watchdog of a child; on Linux, also have the kernel kill the child when its main process dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def check() -> None:
        orphan = os.getppid() != slots.main_pid
        if orphan or (clock.now() > slots.deadline - MARGIN_S and slot.read().busy):
            kill_this_process()
        run_processes.reap_adopted()

    _Watchdog(check).start()


def _exited(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) != (0, 0)
    except ChildProcessError:
        return True
