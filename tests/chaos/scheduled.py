"""The schedules of a storm: ticks each second whatever strikes, and what docs/schedules.md promises of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import pairwise, takewhile
from typing import Any

from jobcore.cron import Cron
from tests.chaos.client import Client
from tests.chaos.deployment import QUEUE, Deployment
from tests.chaos.load import tick

KIND = "scheduled"
TICK_LOST = "has no job for its tick of"
TICK_DOUBLED = "jobs for its tick of"
TOGETHER = "was made before the job of the tick before had ended"
SECOND = timedelta(seconds=1)
LATE = timedelta(seconds=30)
"""No tick that was on time when it was seen (10 s) has its job committed so late, not even over a frozen database."""
SHORT_S = 0.05
SLOW_S = 2.5
PLANS: dict[str, tuple[str, float, dict[str, Any]]] = {
    # 100: more ticks than any outage here can hide, the steps of the database's clock included
    "every-tick": ("test_tick", SHORT_S, {"overlap": "allow_all", "missed_runs": "run_all", "max_missed_runs": 100}),
    "one-at-a-time": ("test_polite", SLOW_S, {"overlap": "skip"}),
    "no-missed-tick": ("test_tick", SHORT_S, {"overlap": "allow_all", "missed_runs": "skip", "max_missed_runs": 100}),
}
"""By name: a task, for how many seconds it runs, and what the schedule's owner decides."""

JOBS = """
SELECT scheduled_for, created_at,
       (SELECT min(pg_xact_commit_timestamp(xmin)) FROM job_events WHERE job_id = jobs.id AND kind = 'state') AS made,
       (SELECT max(pg_xact_commit_timestamp(xmin)) FROM job_events WHERE job_id = jobs.id AND kind = 'state') AS ended
FROM jobs WHERE schedule_id = %s ORDER BY made
"""
"""When each job was there and when it was over by the clock of commits, which no fault steps."""


class Schedules:
    """Made at the start of a storm, at rest from its end on."""

    def __init__(self, deployment: Deployment, client: Client) -> None:
        self._deployment = deployment
        self._client = client

    def start(self) -> None:
        """Make them."""
        for name, (task_type, seconds, decided) in PLANS.items():
            task = {**tick(task_type, seconds, self._deployment), "queue": QUEUE}
            self._client.make_schedule({"name": name, "cron": "* * * * * *", "task": task, **decided})

    def stop(self) -> None:
        """Let them rest; they stay, to be counted."""
        for name in PLANS:
            self._client.pause_schedule(name)

    def jobs(self) -> int:
        """How many jobs they made."""
        return int(self._deployment.sql("SELECT count(*) FROM jobs WHERE schedule_id IS NOT NULL")[0]["count"])

    def problems(self) -> list[str]:
        """What PostgreSQL says against the promises to them; they rest, and their jobs have ended."""
        rows = {row["name"]: row for row in self._deployment.sql("SELECT * FROM schedules")}
        broken = [f"schedule {name} was made and is lost" for name in PLANS if name not in rows]
        for name, row in rows.items():
            broken += [f"schedule {name} {problem}" for problem in problems(row, self._deployment.sql(JOBS, row["id"]))]
        return broken


def problems(schedule: Mapping[str, Any], jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is wrong with a schedule, as its row has it, and its jobs, in the order in which they were made."""
    if not jobs:
        return ["made no jobs"]
    ticks = Counter(job["scheduled_for"] for job in jobs)
    every = Cron.parse(schedule["cron"], schedule["timezone"]).ticks(min(ticks) - SECOND)
    due = list(takewhile(lambda tick: tick <= max(ticks), every))
    counted = sum(schedule[name] for name in ("runs", "skipped", "missed"))
    found = [f"has {number} {TICK_DOUBLED} {tick}" for tick, number in ticks.items() if number > 1]
    if schedule["runs"] != len(jobs):
        found.append(f"counts {schedule['runs']} runs and has {len(jobs)} jobs")
    if counted < len(due):
        found.append(f"counts {counted} ticks, as run, skipped or missed, and had {len(due)}")
    if schedule["missed_runs"] == "run_all":
        found += [f"{TICK_LOST} {tick}" for tick in due if tick not in ticks]
    else:
        late = Counter(job["created_at"] for job in jobs if job["created_at"] - job["scheduled_for"] > LATE)
        found += [f"ran {number} missed ticks at {at}" for at, number in late.items() if number > 1]
    if schedule["overlap"] == "skip":
        found += [
            f"has a job of {later['scheduled_for']} that {TOGETHER}"
            for earlier, later in pairwise(jobs)
            if later["made"] < earlier["ended"]
        ]
    return found
