"""Jobs per second from the first POST until the last job is terminal, one POST per job."""

from __future__ import annotations

from bench.figures import Row, rate, ratio
from bench.scale import Scale
from bench.stage import Running, Stage, say
from bench.systems import LONGRUN, System


def jobs_per_second(running: Running, jobs: int) -> float:
    """Post `jobs` echo jobs with 32 clients and wait for the last one to end."""
    answers = running.post(jobs)
    return jobs / (running.finish() - answers.first_post)


def measure(stage: Stage, scale: Scale) -> list[Row]:
    def once(system: System) -> float:
        with stage.run(system) as running:
            value = jobs_per_second(running, scale.longrun_jobs if system is LONGRUN else scale.literal_jobs)
        say(f"  {value:,.0f} jobs/s")
        return value

    longrun, literal = stage.alternate(scale.rounds, "end to end", once)
    return [
        Row(
            what="echo jobs a second, end to end",
            longrun=rate(longrun),
            literal=rate(literal),
            ratio=f"{ratio(longrun, literal)} literal",
            note=f"{scale.longrun_jobs:,} and {scale.literal_jobs:,} POSTs by 32 clients, "
            "first POST to last job terminal",
        )
    ]
