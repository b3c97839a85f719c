"""Schedules with real processes: one job a tick whoever keeps, pauses that hold, and downtime as the policy says."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pytest

from longrun_local.postgres import EmbeddedPostgres
from tests.conftest import database
from tests.harness import Harness, environment
from tests.invariants import check
from tests.processes import Stack
from tests.waiting import until

pytestmark = pytest.mark.fault

EACH_SECOND = "* * * * * *"
NEVER_S = "3600"
SOON_S = 5.0
"""A job starts so soon after its time, in seconds, on a busy machine; on another one within 1.5."""
_numbers = count(1)


def create(longrun: Harness, cron: str = EACH_SECOND, **fields: Any) -> dict[str, Any]:
    """A schedule of the echo task in this test's queue."""
    task = {"task_type": "echo", "input": {}, "queue": longrun.queue, **fields.pop("task", {})}
    body = {"name": f"fault-{next(_numbers)}", "cron": cron, "task": task, **fields}
    answer = longrun.api.post("/schedules", json=body)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return dict(answer.json())


def jobs_of(longrun: Harness, schedule: dict[str, Any]) -> list[dict[str, Any]]:
    """The jobs of its ticks, in order."""
    return longrun.sql("SELECT * FROM jobs WHERE schedule_id = %s ORDER BY scheduled_for", schedule["schedule_id"])


def late_s(job: dict[str, Any]) -> float:
    """How many seconds after its tick a job was started."""
    return float((job["started_at"] - job["scheduled_for"]).total_seconds())


def make_due(longrun: Harness, schedule: dict[str, Any], late: timedelta) -> datetime:
    """As if nobody had looked since then; the full minute that was due first."""
    due = (datetime.now(UTC) - late).replace(second=0, microsecond=0)
    longrun.sql("UPDATE schedules SET next_at = %s WHERE id = %s", due, schedule["schedule_id"])
    return due


def ended(longrun: Harness, schedule: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """Wait until so many of its jobs have ended well."""

    def enough() -> list[dict[str, Any]] | None:
        jobs = [job for job in jobs_of(longrun, schedule) if job["status"] == "SUCCESS"]
        return jobs if len(jobs) >= number else None

    return until(enough, what=lambda: f"{number} jobs of {schedule['name']}; it is {shown(longrun, schedule)}")


def shown(longrun: Harness, schedule: dict[str, Any]) -> dict[str, Any]:
    """The schedule as the API shows it."""
    return dict(longrun.api.get(f"/schedules/{schedule['schedule_id']}").json())


def test_each_second_has_its_job_which_starts_soon_and_a_pause_holds(longrun: Harness) -> None:
    made = create(longrun, overlap="allow_all")
    ended(longrun, made, 5)
    paused = longrun.api.post(made["links"]["pause"]).json()
    assert paused["next_at"] is None
    there = jobs_of(longrun, made)
    other = create(longrun)
    ended(longrun, other, 3)
    longrun.api.delete(other["links"]["self"])
    assert jobs_of(longrun, made)[len(there) :] == [], "no tick of a paused schedule, while another's went on"
    jobs = ended(longrun, made, len(there))
    ticks = [job["scheduled_for"] for job in jobs]
    assert all(later - earlier == timedelta(seconds=1) for earlier, later in pairwise(ticks))
    assert median(map(late_s, jobs)) < SOON_S
    resumed = longrun.api.post(made["links"]["resume"]).json()
    assert datetime.fromisoformat(resumed["next_at"]) > ticks[-1] + timedelta(seconds=1), "it makes up for nothing"
    ended(longrun, made, len(there) + 1)
    longrun.api.delete(made["links"]["self"])
    check(longrun, [str(job["id"]) for job in jobs_of(longrun, made)])


@pytest.mark.parametrize(
    ("fields", "minutes", "missed"),
    [
        ({"missed_runs": "run_once"}, [29], 29),
        ({"missed_runs": "run_all", "overlap": "allow_all", "max_missed_runs": 4}, [26, 27, 28, 29], 26),
        ({"missed_runs": "run_all", "overlap": "allow_all", "start_deadline_s": 110}, [28, 29], 28),
    ],
    ids=str,
)
def test_after_downtime_missed_ticks_run_as_the_policy_says(
    longrun: Harness, fields: dict[str, Any], minutes: list[int], missed: int
) -> None:
    """Nobody looked since 29 full minutes ago."""
    until(lambda: 12 <= datetime.now(UTC).second < 45, what="the latest tick is late, and no other comes in between")
    made = create(longrun, "* * * * *", **fields)
    due = make_due(longrun, made, timedelta(minutes=29))
    jobs = ended(longrun, made, len(minutes))
    assert [round((job["scheduled_for"] - due) / timedelta(minutes=1)) for job in jobs] == minutes
    after = shown(longrun, made)
    assert (after["runs"], after["missed"]) == (len(minutes), missed)
    assert datetime.fromisoformat(after["next_at"]) == due + timedelta(minutes=30)
    longrun.api.delete(made["links"]["self"])


def test_missed_ticks_that_are_to_be_skipped_never_run(longrun: Harness) -> None:
    made = create(longrun, "0 0 1 1 *", missed_runs="skip")
    longrun.sql(
        "UPDATE schedules SET next_at = %s WHERE id = %s", datetime(2026, 1, 1, tzinfo=UTC), made["schedule_id"]
    )
    after = until(lambda: (now := shown(longrun, made))["missed"] and now, what="the tick is given up")
    assert (after["runs"], after["missed"], after["next_at"]) == (0, 1, made["next_at"])
    assert jobs_of(longrun, made) == []


def test_a_tick_is_skipped_while_the_job_before_runs(longrun: Harness) -> None:
    made = create(longrun, task={"task_type": "sleep", "input": {"seconds": 3.2, "steps": 1}})
    after = until(lambda: (now := shown(longrun, made))["runs"] >= 2 and now, what="two jobs of ticks")
    longrun.api.delete(made["links"]["self"])
    first, second = jobs_of(longrun, made)
    assert second["created_at"] > first["finished_at"]
    assert after["skipped"] >= 2
    longrun.all_reach([str(second["id"])], "SUCCESS")


def test_a_new_tick_cancels_the_job_before_where_it_must(longrun: Harness) -> None:
    folder = {"seconds": 30, "folder": str(longrun.folder)}
    made = create(longrun, overlap="cancel_other", task={"task_type": "test_polite", "input": folder})
    until(lambda: shown(longrun, made)["runs"] >= 3, what="three jobs of ticks")
    longrun.api.delete(made["links"]["self"])
    *cancelled, last = [str(job["id"]) for job in jobs_of(longrun, made)]
    for job_id in cancelled:
        assert longrun.job(job_id)["status"] == "CANCELLED"
        longrun.stopped(job_id)
    longrun.api.delete(f"/tasks/{last}")
    longrun.stopped(last)
    check(longrun, [*cancelled, last])


@pytest.fixture
def unkept(postgres: EmbeddedPostgres, migrated_template: str, redis_url: str, tmp_path: Path) -> Iterator[Harness]:
    """Longrun on a database of its own, where neither API nor supervisor looks after anything."""
    with database(postgres, migrated_template) as url, Stack(url, redis_url, tmp_path) as stack:
        api = stack.api(env={**environment(tmp_path), "LONGRUN_KEEPER_S": NEVER_S})
        with httpx.Client(base_url=api.url, timeout=30) as client:
            harness = Harness(stack, client, "unkept", tmp_path)
            harness.worker(LONGRUN_KEEPER_S=NEVER_S)
            yield harness


def test_no_tick_is_lost_or_doubled_while_keepers_die_and_thaw(unkept: Harness) -> None:
    made = create(unkept, overlap="allow_all", missed_runs="run_all", max_missed_runs=100)
    first = unkept.stack.keeper(environment(unkept.folder))
    ended(unkept, made, 2)
    second = unkept.stack.keeper(environment(unkept.folder))
    first.send(signal.SIGSTOP)
    number = len(jobs_of(unkept, made))
    ended(unkept, made, number + 3)
    first.send(signal.SIGCONT)
    second.kill_group()
    number = len(jobs_of(unkept, made))
    ended(unkept, made, number + 3)
    unkept.api.delete(made["links"]["self"])
    jobs = jobs_of(unkept, made)
    ticks = [job["scheduled_for"] for job in jobs]
    assert all(later - earlier == timedelta(seconds=1) for earlier, later in pairwise(ticks)), ticks
    unkept.all_reach([str(job["id"]) for job in jobs], "SUCCESS")
    check(unkept, [str(job["id"]) for job in jobs])
