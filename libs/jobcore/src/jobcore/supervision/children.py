"""The children as the supervisor sees them: it reads their pids in the slots and learns of each death at once.

On Linux a death wakes the supervisor through a pidfd; on other systems it polls at every tick. Only the Celery main
process reaps the children.
"""

from __future__ import annotations

import os
import selectors
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from jobcore.host.processes import Process
from jobcore.supervision.child_processes import ChildProcesses
from jobcore.supervision.child_state import ChildState, RunKey
from jobcore.supervision.slots import Slots


@dataclass(frozen=True, slots=True)
class Death:
    """A child that died, and what its slot said last.

    `loop_run` is the `run_tag` of the run whose code its event loop executed. `killed_for` is None if it died by
    itself; else this supervisor killed it, because of these runs, or for a reason that is none of its runs'.
    """

    slot: int
    state: ChildState
    loop_run: int = 0
    killed_for: frozenset[RunKey] | None = None


@dataclass
class Children:
    """Watches the main process and the children in the slots; `nudge` wakes a waiting supervisor.

    `meanwhile` is called while processes take long to die.
    """

    slots: Slots
    main: Process
    meanwhile: Callable[[], object] = lambda: None
    processes: dict[int, Process] = field(default_factory=dict)
    _killed_for: dict[int, frozenset[RunKey]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._nudge_read, self._nudge_write = os.pipe()
        os.set_blocking(self._nudge_read, False)
        os.set_blocking(self._nudge_write, False)
        self._selector.register(self._nudge_read, selectors.EVENT_READ)
        if self.main.fd is not None:
            self._selector.register(self.main.fd, selectors.EVENT_READ)
        self._below = ChildProcesses(self.main, self.meanwhile)

    def poll(self) -> list[Death]:
        """Register new children; returns those that died and are not buried."""
        for slot in self.slots:
            if slot.pid and slot.index not in self.processes:
                process = self.processes[slot.index] = Process(slot.pid, slot.started)
                if process.fd is not None:
                    self._selector.register(process.fd, selectors.EVENT_READ)
        return [
            Death(index, self.slots[index].read(), self.slots[index].loop_run, self._killed_for.get(index))
            for index, process in sorted(self.processes.items())
            if process.exited()
        ]

    def bury(self, slot: int) -> None:
        """Free the slot of a dead child whose jobs are accounted for."""
        process = self.processes.pop(slot)
        self._killed_for.pop(slot, None)
        if process.fd is not None:
            self._selector.unregister(process.fd)
        process.close()
        self.slots[slot].clear()

    def signal(self, slot: int, number: int) -> None:
        """Send a signal to the child in this slot."""
        if slot in self.processes:
            self.processes[slot].signal(number)

    def kill(self, slot: int, culprits: frozenset[RunKey] = frozenset()) -> None:
        """Kill the child in this slot, once, because of these runs or for a reason that is none of its runs'.

        Everything that its runs started dies with it.
        """
        if slot not in self._killed_for:
            self._killed_for[slot] = culprits
            if slot in self.processes:
                self._below.kill(self.processes[slot])

    def is_killed(self, slot: int) -> bool:
        """Whether `kill` was called for the child in this slot."""
        return slot in self._killed_for

    def kill_all(self) -> None:
        """Kill every child, and what their runs started."""
        for process in tuple(self.processes.values()):
            self._below.kill(process)

    def end_leftovers(self, deaths: Sequence[Death]) -> None:
        """Kill the processes that these children left: before their jobs may run again, and their receipts say so."""
        dead = [self.processes[death.slot] for death in deaths]
        if self.main.exited():
            self._below.end_all(dead)
        else:
            self._below.end_leftovers(dead)

    def wait(self, timeout_s: float) -> None:
        """Wait for a death, a nudge, or the time to pass."""
        ready = self._selector.select(timeout_s)
        if any(key.fd == self._nudge_read for key, _ in ready):
            with suppress(BlockingIOError):
                os.read(self._nudge_read, 4096)

    def nudge(self) -> None:
        """Wake the supervisor; callable from any thread."""
        with suppress(BlockingIOError):
            os.write(self._nudge_write, b"!")
