"""POST /tasks per second, without a worker."""

from __future__ import annotations

from bench.figures import Row, milliseconds, rate, ratio
from bench.load import Answers
from bench.scale import Scale
from bench.stage import Stage, say
from bench.systems import LONGRUN, System


def measure(stage: Stage, scale: Scale) -> list[Row]:
    def once(system: System) -> Answers:
        with stage.run(system, worker=False) as running:
            answers = running.post(scale.longrun_jobs if system is LONGRUN else scale.literal_jobs)
        say(f"  {answers.rate:,.0f} POSTs/s; the load generator took {answers.cpu_share:.0%} of a core")
        return answers

    longrun, literal = stage.alternate(scale.rounds, "submits", once)
    rates = [a.rate for a in longrun], [a.rate for a in literal]
    slowest = [max(longrun, key=lambda a: a.p99_s), max(literal, key=lambda a: a.p99_s)]
    return [
        Row(
            what="POST /tasks a second",
            longrun=rate(rates[0]),
            literal=rate(rates[1]),
            ratio=f"{ratio(*rates)} literal",
            note="32 clients, worker stopped",
        ),
        Row(
            what="  its latency p50 / p99",
            longrun=milliseconds(slowest[0].p50_s, slowest[0].p99_s),
            literal=milliseconds(slowest[1].p50_s, slowest[1].p99_s),
            note="of the round with the worst p99",
        ),
    ]
