"""The supervised processes in the order in which they started: later ones need earlier ones, and stop first."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import chain
from typing import Final

from longrun_local.errors import StartError
from longrun_local.output import Output
from longrun_local.processes import Service, Supervisor
from longrun_local.signals import Signals

POLL_S: Final = 0.05


class Interrupted(Exception):
    """A signal asked Longrun to stop."""


class Stages:
    """Launches, awaits, restarts and stops supervised processes."""

    def __init__(self, output: Output, signals: Signals) -> None:
        self._output = output
        self._signals = signals
        self._stages: list[list[Supervisor]] = []
        self._leaving: list[Supervisor] = []

    def __len__(self) -> int:
        """The number of stages that run."""
        return len(self._stages)

    def launch(self, *stage: Service) -> None:
        """Start and supervise these services. They are stopped before those that were launched earlier."""
        self._stages.append([Supervisor(service, self._output) for service in stage])
        for supervisor in self._stages[-1]:
            supervisor.start()

    def await_ready(
        self, *, failures: int | None = None, enough: Callable[[], bool] = lambda: False, poll_s: float = POLL_S
    ) -> bool:
        """Wait until all services are ready; False if `enough()` came first.

        Raises StartError once one has failed `failures` times, and Interrupted at a signal.
        """
        for supervisor in chain.from_iterable(self._stages):
            service = supervisor.service
            while service.ready is not None and not (supervisor.pid and service.ready()):
                if failures is not None and supervisor.failures >= failures:
                    lines = "\n".join(supervisor.last_lines)
                    raise StartError(
                        f"{service.name} does not start; {self._output.path(service.name)} ends with:\n{lines}"
                    )
                if enough():
                    return False
                self.pause(poll_s)
        return True

    def pause(self, seconds: float = POLL_S) -> None:
        """Wait for a while. Raises Interrupted at a signal."""
        if self._signals.wait(seconds):
            raise Interrupted

    def leave(self, count: int) -> None:
        """Stop all stages but the first `count`, and wait only for the first of them: its successor needs its port.

        The others end beside their successors. Raises Interrupted at a signal.
        """
        leaving = self._stages[count:]
        for supervisor in chain.from_iterable(leaving):
            supervisor.leave()
        while any(supervisor.is_alive() for supervisor in leaving[0]):
            self.pause()
        self._leaving = [one for one in chain(self._leaving, *leaving) if one.is_alive()]
        del self._stages[count:]

    def stop(self) -> None:
        """Stop stage after stage, each within its time limit, or at once after another signal."""
        at_once = False
        for stage in reversed([*self._stages, *([self._leaving] if self._leaving else [])]):
            deadline = time.monotonic() + max(supervisor.service.stop_s for supervisor in stage)
            for supervisor in stage:
                supervisor.ask_to_stop()
            while any(supervisor.is_alive() for supervisor in stage):
                at_once = self._signals.wait(POLL_S) or at_once
                if time.monotonic() > deadline or (at_once and stage[0].service.killable):
                    for supervisor in stage:
                        supervisor.kill()
