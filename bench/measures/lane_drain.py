"""Drain of queued jobs that do nothing: the async and thread lanes beside the process lane, in turn."""

from __future__ import annotations

from bench.figures import Row, rate, ratio
from bench.measures.drain import drain
from bench.scale import Scale
from bench.stage import Stage, say
from bench.systems import LANES

TYPES = {"process": "no_op", "async": "no_op_async", "thread": "no_op_thread"}


def measure(stage: Stage, scale: Scale) -> list[Row]:
    """One row per lane."""
    rates: dict[str, list[float]] = {lane: [] for lane in TYPES}
    for number in range(1, scale.rounds + 1):
        for lane, task_type in TYPES.items():
            say(f"lane_drain: round {number} of {scale.rounds}, {lane}, {scale.drain_jobs:,} queued jobs")
            rates[lane].append(drain(stage, LANES, scale.drain_jobs, task_type, {"number": 1}).rate)
    return [
        Row(
            what=f"drain of queued {lane} jobs that do nothing",
            longrun=rate(values),
            ratio="" if lane == "process" else f"{ratio(values, rates['process'])} the process lane",
            note=f"{scale.drain_jobs:,} jobs, two children, as `drain`",
        )
        for lane, values in rates.items()
    ]
