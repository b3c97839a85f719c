"""Pickup latency: `started_at - created_at`, both by the database's clock."""

from __future__ import annotations

import random
import time

from bench.client import post_one
from bench.figures import Row, milliseconds, percentile
from bench.measures.end_to_end import jobs_per_second
from bench.scale import Scale
from bench.stage import Running, Stage, say
from bench.systems import LITERAL, LONGRUN, System

POLL_S = 0.005


def idle(running: Running, samples: int) -> tuple[float, float]:
    """p50 and p99 of one job at a time, posted 60 to 140 ms (random) after the previous one ended."""
    start = running.database.value("SELECT now()")
    for _ in range(samples):
        post_one(running.port, timeout_s=10)
        running.database.wait_until_finished(30, POLL_S)
        time.sleep(random.uniform(0.06, 0.14))
    return _percentiles(running, start)


def at_half_rate(running: Running, jobs: int, seconds: int) -> tuple[float, float, float]:
    """p50, p99 and the rate of evenly spaced POSTs, at half of the end-to-end rate of this run."""
    rate = jobs_per_second(running, jobs) / 2
    start = running.database.value("SELECT now()")
    running.post(int(rate * seconds), rate=rate)
    running.finish()
    return *_percentiles(running, start), rate


def _percentiles(running: Running, start: str) -> tuple[float, float]:
    values = running.database.pickup_s(start)
    return percentile(values, 50), percentile(values, 99)


def measure(stage: Stage, scale: Scale) -> list[Row]:
    idle_cells, half_cells, rates = {}, {}, {}
    for system, jobs in ((LONGRUN, scale.longrun_jobs), (LITERAL, scale.literal_jobs)):
        idle_cells[system], half_cells[system], rates[system] = _of(stage, system, jobs, scale)
    return [
        Row(
            what="pickup p50 / p99, idle",
            longrun=idle_cells[LONGRUN],
            literal=idle_cells[LITERAL],
            note=f"accepted to running, {scale.idle_samples} jobs, one at a time",
        ),
        Row(
            what="pickup p50 / p99, half load",
            longrun=half_cells[LONGRUN],
            literal=half_cells[LITERAL],
            note=f"{rates[LONGRUN]:,.0f} and {rates[LITERAL]:,.0f} POSTs/s, half of each one's own rate",
        ),
    ]


def _of(stage: Stage, system: System, jobs: int, scale: Scale) -> tuple[str, str, float]:
    with stage.run(system) as running:
        say(f"pickup: {scale.idle_samples} jobs on an idle {system.name}")
        idle_cell = milliseconds(*idle(running, scale.idle_samples))
        say(f"  {idle_cell}")
        say(f"pickup: {system.name} at half of its rate")
        p50, p99, rate = at_half_rate(running, jobs, scale.half_rate_s)
        half_cell = milliseconds(p50, p99)
        say(f"  {half_cell}")
    return idle_cell, half_cell, rate
