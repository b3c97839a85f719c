"""Pickup latency by lane: on an idle worker, and while 100 runs wait in its only child."""

from __future__ import annotations

import random
import time

from bench.client import post_one
from bench.figures import Row, milliseconds, percentile
from bench.measures.pickup import POLL_S
from bench.scale import Scale
from bench.stage import Running, Stage, say
from bench.systems import LANES

TYPES = {"process": "no_op", "async": "no_op_async", "thread": "no_op_thread"}
WAITING = 100
WAIT_S = 3600
WITHIN_S = 60.0
ENDED = "SELECT status NOT IN ('PENDING', 'RUNNING') FROM jobs WHERE id = %s"
RUNNING = "SELECT count(*) FROM jobs WHERE status = 'RUNNING'"
PICKUP = """
SELECT extract(epoch FROM started_at - created_at)::float8 FROM jobs WHERE created_at > %s AND task_type = %s
"""


def pickup(running: Running, task_type: str, samples: int) -> str:
    """p50 and p99 of one job at a time, posted 60 to 140 ms (random) after the previous one ended."""
    start = running.database.value("SELECT now()")
    for _ in range(samples):
        until(running, ENDED, post(running, task_type, {}))
        time.sleep(random.uniform(0.06, 0.14))
    values = [seconds for (seconds,) in running.database.rows(PICKUP, start, task_type)]
    return milliseconds(percentile(values, 50), percentile(values, 99))


def post(running: Running, task_type: str, input: dict[str, float]) -> str:
    """Submit a job; its id."""
    answer = post_one(running.port, timeout_s=10, task={"task_type": task_type, "input": input})
    return str(answer.body["task_id"])


def until(running: Running, sql: str, *parameters: str) -> None:
    """Wait until the statement returns something true; TimeoutError after `WITHIN_S`."""
    deadline = time.monotonic() + WITHIN_S
    while not running.database.value(sql, *parameters):
        running.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {WITHIN_S:.0f} s: {sql}")
        time.sleep(POLL_S)


def fill(running: Running, count: int, task_type: str = "wait_async", seconds: float = WAIT_S) -> list[str]:
    """Have `count` jobs wait in the worker; their ids."""
    ids = [post(running, task_type, {"seconds": seconds}) for _ in range(count)]
    until(running, f"SELECT ({RUNNING}) >= {count}")
    return ids


def measure(stage: Stage, scale: Scale) -> list[Row]:
    """One row per lane and state of the worker."""
    rows = []
    env = {"LONGRUN_WORKER_CONCURRENCY": "1", "LONGRUN_JOBS_PER_CHILD": str(WAITING * 2)}
    for where, waiting, worker_env in (("idle", 0, {}), (f"while {WAITING} runs wait in the child", WAITING, env)):
        with stage.run(LANES, worker_env=worker_env) as running:
            fill(running, waiting)
            for lane, task_type in TYPES.items():
                say(f"lane_pickup: {scale.idle_samples} jobs of the {lane} lane, {where}")
                cell = pickup(running, task_type, scale.idle_samples)
                say(f"  {cell}")
                note = f"accepted to running, {scale.idle_samples} jobs, one at a time"
                rows.append(Row(what=f"pickup p50 / p99, {lane} lane, {where}", longrun=cell, note=note))
    return rows
