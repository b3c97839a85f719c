"""POST /tasks per second with an idempotency key each, beside the same without keys, in turn on one API."""

from __future__ import annotations

import statistics

from bench.figures import Row, milliseconds, rate
from bench.load import Answers
from bench.scale import Scale
from bench.stage import Stage, say
from bench.systems import LONGRUN

ROUNDS = 6
"""Pairs of loads; the second of each pair has keys in one half of them, the first in the other half."""


def measure(stage: Stage, scale: Scale) -> list[Row]:
    loads: dict[bool, list[Answers]] = {True: [], False: []}
    with stage.run(LONGRUN, worker=False) as running:
        running.post(200, keys=True)
        for number in range(ROUNDS):
            for keys in (False, True) if number % 2 else (True, False):
                answers = running.post(scale.longrun_jobs // 2, keys=keys)
                say(f"  {answers.rate:,.0f} POSTs/s {'with' if keys else 'without'} keys")
                loads[keys].append(answers)
    rates = {keys: [answers.rate for answers in loads[keys]] for keys in loads}
    share = statistics.median(ours / plain for ours, plain in zip(rates[True], rates[False], strict=True))
    slowest = max(loads[True], key=lambda answers: answers.p99_s)
    return [
        Row(
            what="POST /tasks a second, an idempotency key each",
            longrun=rate(rates[True]),
            ratio=f"{share:.0%} of that without keys ({rate(rates[False])})",
            note="32 clients, worker stopped; the two in turn",
        ),
        Row(
            what="  its latency p50 / p99",
            longrun=milliseconds(slowest.p50_s, slowest.p99_s),
            note="of the round with the worst p99",
        ),
    ]
