"""Jobs a second end to end with API keys, owners and quotas, and their CPU time, beside the same without, in turn."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.figures import Row, milliseconds, rate
from bench.measures.end_to_end import jobs_per_second
from bench.measures.idle_readers import cpu_s
from bench.scale import Scale
from bench.stage import Stage, pid_of, say
from bench.systems import LONGRUN, OWNED, System


@dataclass(frozen=True)
class Round:
    """Jobs a second, and the CPU time of API, worker and PostgreSQL for a job, in seconds."""

    rate: float
    cpu_s: float


def once(stage: Stage, system: System, jobs: int) -> Round:
    """One load, from its first POST to the end of its last job."""
    with stage.run(system) as running:
        pids = [pid_of(stage.postgres), *(process.pid for process in running.processes)]
        before = sum(map(cpu_s, pids))
        jobs_a_second = jobs_per_second(running, jobs)
        return Round(jobs_a_second, (sum(map(cpu_s, pids)) - before) / jobs)


def measure(stage: Stage, scale: Scale) -> list[Row]:
    rounds: dict[System, list[Round]] = {LONGRUN: [], OWNED: []}
    for number in range(scale.rounds * 2):
        for system in (LONGRUN, OWNED) if number % 2 else (OWNED, LONGRUN):
            found = once(stage, system, scale.longrun_jobs)
            say(f"  {found.rate:,.0f} jobs/s, {milliseconds(found.cpu_s)} of CPU a job, {system.name}")
            rounds[system].append(found)
    rates = {system: [each.rate for each in rounds[system]] for system in rounds}
    costs = {system: [each.cpu_s for each in rounds[system]] for system in rounds}
    return [
        Row(
            what="echo jobs a second, end to end, with keys, owners and quotas",
            longrun=rate(rates[OWNED]),
            ratio=f"{share(rates[OWNED], rates[LONGRUN]):.0%} of that without ({rate(rates[LONGRUN])})",
            note=f"{scale.longrun_jobs:,} POSTs by 32 clients with one key of an owner; the two in turn",
        ),
        Row(
            what="  CPU time a job",
            longrun=milliseconds(statistics.median(costs[OWNED])),
            ratio=f"{share(costs[OWNED], costs[LONGRUN]):.0%} of that without",
            note="API, worker and PostgreSQL together",
        ),
    ]


def share(ours: Sequence[float], plain: Sequence[float]) -> float:
    """The median of the ratios of neighbouring rounds."""
    return statistics.median(a / b for a, b in zip(ours, plain, strict=True))
