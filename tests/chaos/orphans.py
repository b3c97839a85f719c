"""Processes that outlive the run that started them: looked for once a second while a storm rages, and at its end."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from jobcore.states import TERMINAL
from tests.chaos.deployment import Deployment
from tests.fault.diary import MARK
from tests.harness import gone
from tests.invariants import THAWED_S

ORPHAN = "outlived run"
LOOK_S = 1.0


@dataclass(frozen=True)
class Started:
    """A process that a run of a job started."""

    process: psutil.Process
    job_id: str
    fence: int

    def __str__(self) -> str:
        return f"{self.job_id}: process {self.process.pid}"


class Orphans:
    """Looks for orphans in a thread. A run is over when its job has ended, is to run again, or runs again.

    The processes are listed before the rows are read, and looked at again afterwards: who still lives then has outlived
    its run. What a frozen host holds may live until a moment after it thaws.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="orphans", daemon=True)
        self.found: dict[int, str] = {}
        """What was found, in words, by process."""
        self.failures: list[str] = []

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> list[str]:
        """Look once more, when every job has ended; all that was found."""
        self._over.set()
        self._thread.join()
        self._look()
        return [*self.found.values(), *self.failures]

    def _watch(self) -> None:
        try:
            while not self._over.wait(LOOK_S):
                self._look()
        except Exception as error:
            self.failures.append(f"orphans ended: {error!r}")

    def _look(self) -> None:
        started = list(_started(self._deployment.diaries))
        rows = self._deployment.sql(
            "SELECT id, status, fence, cancel_stopped_at FROM jobs WHERE id = ANY(%s::uuid[])",
            [each.job_id for each in started],
        )
        jobs = {str(row["id"]): row for row in rows}
        for each in started:
            job = jobs[each.job_id]
            excused_until = self._deployment.thawed_at.get(each.job_id, -math.inf) + THAWED_S
            if time.monotonic() > excused_until and _is_over(job, each.fence) and _lives(each.process):
                self._note(each, job)

    def _note(self, each: Started, job: Mapping[str, Any]) -> None:
        self.found.setdefault(
            each.process.pid, f"{each} {ORPHAN} {each.fence}: the job is {job['status']} with fence {job['fence']}"
        )


def _is_over(job: Mapping[str, Any], fence: int) -> bool:
    if job["fence"] != fence or job["status"] == "PENDING":
        return True
    if job["status"] == "CANCELLED":
        return job["cancel_stopped_at"] is not None
    return job["status"] in TERMINAL


def _started(diaries: Path) -> Iterator[Started]:
    """The processes of this storm that runs started."""
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
        except psutil.Error:
            continue
        if MARK in command[:-2]:
            diary, fence = Path(command[-2]), int(command[-1])
            if diary.parent == diaries:
                yield Started(process, diary.stem, fence)


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and not gone(process.pid)
