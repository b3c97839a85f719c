"""SSE delivery: from an event's `at` to its receipt by a client on the same machine."""

from __future__ import annotations

from collections.abc import Sequence

from bench import streams
from bench.client import post_one
from bench.figures import Row, milliseconds, percentile
from bench.scale import Scale
from bench.stage import Running, Stage, say
from bench.streams import Delivery
from bench.systems import LONGRUN

CHILDREN = 10
DELAY_S = 3
TASK = {"task_type": "sleep", "input": {"seconds": 2, "steps": 10}, "delay_s": DELAY_S}


def follow_sleepers(running: Running, count: int) -> list[Delivery]:
    """One stream per job. The jobs start late enough that every stream is open."""
    answers = [post_one(running.port, timeout_s=10, task=TASK) for _ in range(count)]
    return streams.follow(running.port, [answer.body["task_id"] for answer in answers], timeout_s=120)


def _row(what: str, deliveries: Sequence[Delivery], note: str) -> Row:
    seconds = [delivery.after_s for delivery in deliveries]
    cell = milliseconds(percentile(seconds, 50), percentile(seconds, 99)) if seconds else "none arrived"
    say(f"  {what}: {cell}, {len(seconds)} events")
    return Row(what=what, longrun=cell, literal="has no stream", note=f"{len(seconds)} events, {note}")


def measure(stage: Stage, scale: Scale) -> list[Row]:
    say(f"streams: {scale.streams} at once")
    with stage.run(LONGRUN, worker_env={"LONGRUN_WORKER_CONCURRENCY": str(CHILDREN)}) as running:
        deliveries = follow_sleepers(running, scale.streams)
    setting = f"{scale.streams} streams, {CHILDREN} children run `sleep`"
    stored = [delivery for delivery in deliveries if delivery.stored]
    live = [delivery for delivery in deliveries if not delivery.stored]
    return [
        _row("SSE p50 / p99, stored events", stored, f"from `at` in the database; {setting}"),
        _row("SSE p50 / p99, live-only progress", live, f"from `at` in the worker; {setting}"),
    ]
