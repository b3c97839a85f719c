"""Jobs that only wait: how long a worker takes for many of them, and how much memory.

The jobs are queued before the worker starts, as in `drain`. The time is from the first `started_at` to the last
`finished_at`. The baselines are the ideal (every place of the worker always has a job) and the process lane, where a
child runs one job at a time. The memory is the largest PSS of the whole worker (main process, supervisor and children)
that was seen while jobs ran.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil

from bench.figures import Row
from bench.measures.drain import SPAN, queue_in_longrun
from bench.scale import Scale
from bench.stage import Running, Stage, say
from bench.systems import CHILDREN, LANES

WAIT_S = 1.0
LOOK_S = 0.5
WITHIN_S = 180.0
MIB = 2**20


@dataclass(frozen=True)
class Case:
    """`jobs` jobs of one task type on a worker whose children run `jobs_per_child` at once."""

    lane: str
    task_type: str
    jobs: int
    jobs_per_child: int

    @property
    def ideal_s(self) -> float:
        """The time in which they would run if no place were ever free."""
        return self.jobs * WAIT_S / (CHILDREN * self.jobs_per_child)


@dataclass(frozen=True)
class Waited:
    """How long all jobs took, and the largest memory of the worker meanwhile: PSS and USS, in bytes."""

    seconds: float
    pss: int
    uss: int


def memory_of(pid: int) -> tuple[int, int]:
    """PSS and USS of a process and all that it started, in bytes."""
    pss = uss = 0
    main = psutil.Process(pid)
    for process in (main, *main.children(recursive=True)):
        try:
            info = process.memory_full_info()
        except psutil.NoSuchProcess:
            continue
        pss, uss = pss + getattr(info, "pss", 0), uss + info.uss
    return pss, uss


def run(stage: Stage, case: Case) -> Waited:
    """Queue the jobs, start a worker, watch its memory until the last one ended."""
    with stage.run(LANES, worker=False, api=False) as running:
        queue_in_longrun(running, case.jobs, case.task_type, {"seconds": WAIT_S})
        running.database.execute("CHECKPOINT")
        worker = running.start_worker({"LONGRUN_JOBS_PER_CHILD": str(case.jobs_per_child)})
        memory = watch(running, worker.pid)
        return Waited(running.database.value(SPAN), *memory)


def watch(running: Running, pid: int) -> tuple[int, int]:
    """The largest memory of a worker until every job has ended; TimeoutError after `WITHIN_S`."""
    most, deadline = (0, 0), time.monotonic() + WITHIN_S
    while left := running.database.unfinished():
        running.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{left} jobs have not ended after {WITHIN_S:.0f} s")
        most = max(most, memory_of(pid))
        time.sleep(LOOK_S)
    return most


def measure(stage: Stage, scale: Scale) -> list[Row]:
    """One row per lane; each beside the ideal and the process lane."""
    alone = Case("process", "wait", 10 * CHILDREN, 1)
    cases = (
        Case("async", "wait_async", scale.waiting_jobs, 100),
        Case("thread", "wait_thread", scale.waiting_jobs, 50),
    )
    say(f"waiting: {alone.jobs} jobs of the process lane")
    baseline = run(stage, alone)
    return [_row(stage, case, alone.jobs / baseline.seconds) for case in cases]


def _row(stage: Stage, case: Case, baseline: float) -> Row:
    say(f"waiting: {case.jobs:,} jobs of the {case.lane} lane, {case.jobs_per_child} a child")
    waited = run(stage, case)
    rate = case.jobs / waited.seconds
    say(f"  {waited.seconds:.1f} s, {waited.pss / MIB:.0f} MiB PSS")
    return Row(
        what=f"{case.jobs:,} {case.lane} jobs that wait {WAIT_S:g} s",
        longrun=f"{waited.seconds:.1f} s, {waited.pss / MIB:.0f} MiB PSS",
        ratio=f"{waited.seconds / case.ideal_s:.2f}x the ideal {case.ideal_s:.0f} s, "
        f"{rate / baseline:.0f}x the process lane",
        note=f"{CHILDREN} children, {case.jobs_per_child} jobs a child; USS {waited.uss / MIB:.0f} MiB; memory of the "
        f"whole worker; the process lane runs {baseline:.1f} such jobs a second",
    )
