"""The time until work resumes after Redis lost everything, after a child died, and after a worker died."""

from __future__ import annotations

import time
from functools import partial

import psutil
import redis

from bench.client import post_one
from bench.figures import Row
from bench.measures.drain import queue_in_longrun
from bench.scale import Scale
from bench.stage import Running, Stage, say
from bench.systems import LONGRUN

WITHIN_S = 90.0
POLL_S = 0.01
WATCHED_S = 10
SHORT = {"seconds": 0.05, "steps": 1}
LONG = {"task_type": "sleep", "input": {"seconds": 60, "steps": 1}}
STARTED = "SELECT count(*) FROM jobs WHERE started_at IS NOT NULL"
RUNS = "SELECT max(fence) FROM jobs WHERE task_type = 'sleep'"
SLOT = "SELECT slot FROM jobs WHERE status = 'RUNNING' AND task_type = 'sleep'"
WORKERS = "SELECT count(*) FROM workers WHERE state = 'active'"
LONGEST_PAUSE = """
SELECT extract(epoch FROM max(pause))::float8 FROM (
    SELECT started_at, started_at - lag(started_at) OVER (ORDER BY started_at) AS pause
    FROM jobs WHERE started_at IS NOT NULL
) AS starts WHERE started_at > %s::timestamptz
"""


def seconds_until(running: Running, sql: str, more_than: int) -> float:
    """Seconds until the statement returns more than this number."""
    began = time.monotonic()
    while running.database.value(sql) <= more_than:
        if time.monotonic() > began + WITHIN_S:
            raise TimeoutError(f"not within {WITHIN_S:.0f} s: {sql}")
        time.sleep(POLL_S)
    return time.monotonic() - began


def flushed(stage: Stage, jobs: int) -> float:
    """Flush Redis with `jobs` jobs queued: the longest pause between two starts, in seconds."""
    with stage.run(LONGRUN) as running:
        queue_in_longrun(running, jobs, "sleep", SHORT)
        seconds_until(running, STARTED, 300)
        now = running.database.value("SELECT now()::text")
        redis.Redis.from_url(stage.valkey.url).flushall()
        time.sleep(WATCHED_S)
        return float(running.database.value(LONGEST_PAUSE, now))


def child_killed(stage: Stage) -> float:
    """Kill the child that runs a job: seconds until the job runs again."""
    with stage.run(LONGRUN) as running:
        [worker] = running.workers
        post_one(running.port, 10, LONG)
        seconds_until(running, RUNS, 0)
        _supervisor, *children = sorted(psutil.Process(worker.pid).children(), key=lambda process: process.pid)
        children[running.database.value(SLOT)].kill()
        return seconds_until(running, RUNS, 1)


def worker_killed(stage: Stage) -> float:
    """Kill the worker that runs a job, with its supervisor: seconds until another worker runs the job."""
    with stage.run(LONGRUN) as running:
        [worker] = running.workers
        post_one(running.port, 10, LONG)
        seconds_until(running, RUNS, 0)
        running.start_worker()
        seconds_until(running, WORKERS, 1)
        worker.kill_group()
        running.processes.remove(worker)
        return seconds_until(running, RUNS, 1)


def measure(stage: Stage, scale: Scale) -> list[Row]:
    rows = []
    for what, note, once in (
        (
            f"Redis flushed, {scale.flushed_jobs:,} jobs queued: longest pause",
            f"between two starts in the {WATCHED_S} s after FLUSHALL; 50 ms jobs, two at a time",
            partial(flushed, stage, scale.flushed_jobs),
        ),
        ("a child killed: its job runs again after", "SIGKILL to RUNNING", partial(child_killed, stage)),
        (
            "a worker killed with its supervisor: its job runs again after",
            "SIGKILL to RUNNING elsewhere; the lease is 30 s",
            partial(worker_killed, stage),
        ),
    ):
        say(f"recovery: {what}")
        seconds = [once() for _ in range(scale.rounds)]
        say(f"  {max(seconds):.2f} s at most")
        rows.append(Row(what=what, longrun=f"{max(seconds):.2f} s", note=f"worst of {scale.rounds}; {note}"))
    return rows
