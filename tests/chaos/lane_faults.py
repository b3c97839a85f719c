"""Faults of children that run many jobs at once: the loop stalls or ends, a thread goes on, a full child dies."""

from __future__ import annotations

import random
import time
from collections import Counter

import psutil

from jobcore.states import TERMINAL
from tests.chaos.client import Client
from tests.chaos.deployment import CHILDREN, JOBS_PER_CHILD, QUEUE, WORKERS, Deployment
from tests.chaos.kinds import Strike, fault
from tests.chaos.load import tick
from tests.chaos.process_faults import BRIEF, GRACE_S, frozen
from tests.fault.diary import STARTED
from tests.harness import Tick
from tests.waiting import until

ENDED_S = 120.0
BEGUN_S = 60.0
FULL_S = 60.0
LONG_S = 30.0
FILLING_S = 8.0
ENOUGH = JOBS_PER_CHILD // 2
"""A child with so many background runs counts as full: some of those that were to fill it run elsewhere."""


@fault((QUEUE,), (1.5, 4.0))
def loop_stalled(strike: Strike) -> None:
    """A task blocks the event loop of a child."""
    client = Client(strike.deployment)
    job_id = client.submit({**tick("test_block_loop", strike.seconds, strike.deployment), "queue": QUEUE})
    _ends(strike.deployment, job_id)


@fault((QUEUE,))
def loop_ended(strike: Strike) -> None:
    """A task stops the event loop of a child, or raises in it, or in its thread, what ends Python's loops."""
    how = ("stop", "exit", "interrupt", "thread")[strike.seed % 4]
    client = Client(strike.deployment)
    job_id = client.submit({"task_type": "test_stop_loop", "input": {"how": how}, "queue": QUEUE})
    _ends(strike.deployment, job_id)


@fault((QUEUE,))
def thread_not_stopped(strike: Strike) -> None:
    """A cancelled job goes on in its thread, whatever is raised there."""
    _cancelled(strike.deployment, "test_stubborn_thread")


@fault((QUEUE,))
def task_not_stopped(strike: Strike) -> None:
    """A cancelled job goes on on the event loop, whatever is raised there."""
    _cancelled(strike.deployment, "test_stubborn_async")


@fault((QUEUE,))
def process_ignores_sigterm(strike: Strike) -> None:
    """A cancelled job has started a process that ignores SIGTERM."""
    lane = ("process", "thread", "async")[strike.seed % 3]
    _cancelled(strike.deployment, f"test_start_{lane}", STARTED)


@fault(WORKERS)
def full_child_killed(strike: Strike) -> None:
    """SIGKILL a child that runs many jobs."""
    _full_child(strike).kill()


@fault(WORKERS, BRIEF)
def full_child_frozen(strike: Strike) -> None:
    """SIGSTOP a child that runs many jobs."""
    with frozen(_full_child(strike)):
        time.sleep(strike.seconds)


@fault(WORKERS)
def full_child_terminated(strike: Strike) -> None:
    """SIGTERM a child that runs many jobs."""
    _full_child(strike).terminate()


@fault(WORKERS)
def full_worker_deployed(strike: Strike) -> None:
    """SIGTERM a worker whose children run many jobs."""
    _full_child(strike)
    worker = strike.deployment.process(strike.target)
    worker.terminate()
    worker.wait(GRACE_S)


def _ends(deployment: Deployment, job_id: str) -> None:
    def ended() -> bool:
        [row] = deployment.sql("SELECT status FROM jobs WHERE id = %s", job_id)
        return row["status"] in TERMINAL

    until(ended, ENDED_S, f"{job_id} has ended")


def _cancelled(deployment: Deployment, task_type: str, suffix: str = "") -> None:
    """Cancel a job once it, or the process that it starts, has given a sign of life; wait for its receipt."""
    client = Client(deployment)
    job_id = client.submit({**tick(task_type, LONG_S, deployment), "queue": QUEUE, "priority": 9})
    diary = deployment.diaries / f"{job_id}{suffix}"
    until(diary.exists, BEGUN_S, f"{task_type} has begun")
    client.cancel(job_id)

    def stopped() -> bool:
        [row] = deployment.sql("SELECT status, cancel_stopped_at FROM jobs WHERE id = %s", job_id)
        return row["status"] in ("SUCCESS", "FAILED") or row["cancel_stopped_at"] is not None

    until(stopped, ENDED_S, f"{job_id} has stopped")


def _full_child(strike: Strike) -> psutil.Process:
    """Have all workers run many jobs; a child of the target that has many of them."""
    deployment = strike.deployment
    client = Client(deployment)
    dice = random.Random(strike.seed)
    jobs = [
        client.submit(
            {
                **tick(dice.choice(("test_tick_async", "test_tick_thread")), FILLING_S, deployment, max_attempts=3),
                "queue": QUEUE,
                "priority": 8,
            }
        )
        for _ in range(len(WORKERS) * CHILDREN * JOBS_PER_CHILD)
    ]

    def fullest() -> int | None:
        mine = set(deployment.worker(strike.target).pids)
        counts = Counter(pid for job_id in jobs if (pid := _runs_in(deployment, job_id)) in mine)
        [(pid, runs)] = counts.most_common(1) or [(0, 0)]
        return pid if runs >= ENOUGH else None

    return psutil.Process(until(fullest, FULL_S, f"a child of {strike.target} runs {ENOUGH} jobs"))


def _runs_in(deployment: Deployment, job_id: str) -> int | None:
    """The process in which this job gave a sign of life within the last second."""
    diary = deployment.diary(job_id)
    lines = diary.read_text().splitlines() if diary.exists() else []
    last = Tick.of(lines[-1]) if lines else None
    return last.pid if last and last.at > time.monotonic() - 1 else None
