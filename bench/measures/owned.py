"""Jobs a second end to end with API keys, owners and quotas, beside the same without, in turn."""

from __future__ import annotations

import statistics

from bench.figures import Row, rate
from bench.measures.end_to_end import jobs_per_second
from bench.scale import Scale
from bench.stage import Stage, say
from bench.systems import LONGRUN, OWNED, System


def measure(stage: Stage, scale: Scale) -> list[Row]:
    rates: dict[System, list[float]] = {LONGRUN: [], OWNED: []}
    for number in range(scale.rounds * 2):
        for system in (LONGRUN, OWNED) if number % 2 else (OWNED, LONGRUN):
            with stage.run(system) as running:
                rates[system].append(jobs_per_second(running, scale.longrun_jobs))
            say(f"  {rates[system][-1]:,.0f} jobs/s, {system.name}")
    share = statistics.median(ours / plain for ours, plain in zip(rates[OWNED], rates[LONGRUN], strict=True))
    return [
        Row(
            what="echo jobs a second, end to end, with keys, owners and quotas",
            longrun=rate(rates[OWNED]),
            ratio=f"{share:.0%} of that without ({rate(rates[LONGRUN])})",
            note=f"{scale.longrun_jobs:,} POSTs by 32 clients with one key of an owner; the two in turn",
        )
    ]
