"""What a schedule that comes due is to do: which ticks run, which were missed, and what comes next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from jobcore.errors import InvalidInput
from jobcore.schedule import COUNTED_MAX, Firing, MissedRuns, Overlap, Plan, Schedule, fire

DUE = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
JOB = {"task_type": "echo", "queue": "default", "input": {"n": 1}, "max_attempts": 3, "tags": ["a"]}


def schedule(next_at: datetime | None = DUE, **fields: Any) -> Schedule:
    defaults: dict[str, Any] = {
        "name": "tick", "cron": "* * * * *", "timezone": "UTC", "overlap": "allow_all", "missed_runs": "run_once",
        "max_missed_runs": 10, "start_deadline_s": None, "paused": False, "task": {}, "job": JOB,
    }  # fmt: skip
    return Schedule(uuid7(), Plan(**defaults | fields), 7, next_at, None, 0, 0, 0, None, None, DUE, DUE)


def after(late: timedelta, **fields: Any) -> Firing:
    return fire(schedule(**fields), DUE + late)


def minutes(firing: Firing) -> list[int]:
    """The ticks that run, as minutes since the due one."""
    return [round(((job.scheduled_for or DUE) - DUE) / MINUTE) for job in firing.jobs]


def test_a_tick_on_time_runs_under_every_policy_and_the_next_one_is_awaited() -> None:
    for missed_runs in MissedRuns:
        for overlap in Overlap:
            firing = after(SECOND, missed_runs=missed_runs, overlap=overlap)
            assert (minutes(firing), firing.missed, firing.skipped) == ([0], 0, 0)
            assert (firing.due, firing.version, firing.next_at) == (DUE, 7, DUE + MINUTE)


def test_the_job_of_a_tick_says_which_and_whose_it_is() -> None:
    due = schedule()
    [job] = fire(due, DUE).jobs
    assert (job.schedule_id, job.scheduled_for) == (due.id, DUE)
    assert (job.task_type, job.input, job.tags, job.max_attempts) == ("echo", {"n": 1}, ("a",), 3)


@pytest.mark.parametrize(
    ("late", "fields", "runs", "missed"),
    [
        # down for 30 and a half minutes
        (30.5, {"missed_runs": "run_once"}, [30], 30),
        (30.5, {"missed_runs": "skip"}, [30], 30),
        (30.5, {"missed_runs": "run_all"}, list(range(21, 31)), 21),
        (30.5, {"missed_runs": "run_all", "max_missed_runs": 100}, list(range(31)), 0),
        # the latest tick of all is late, too
        (5.0, {"missed_runs": "run_once", "cron": "0 * * * *"}, [0], 0),
        (5.0, {"missed_runs": "skip", "cron": "0 * * * *"}, [], 1),
        (5.0, {"missed_runs": "run_all", "cron": "0 * * * *"}, [0], 0),
        # and later than the deadline
        (5.0, {"missed_runs": "run_once", "cron": "0 * * * *", "start_deadline_s": 299.0}, [], 1),
        (5.0, {"missed_runs": "run_once", "cron": "0 * * * *", "start_deadline_s": 301.0}, [0], 0),
        (5.0, {"missed_runs": "skip", "cron": "0 * * * *", "start_deadline_s": 301.0}, [0], 0),
        (30.5, {"missed_runs": "run_all", "start_deadline_s": 150.0}, [28, 29, 30], 28),
        (0.1, {"missed_runs": "run_once", "start_deadline_s": 2.0}, [], 1),
    ],
)
def test_after_downtime_the_policy_decides(late: float, fields: dict[str, Any], runs: list[int], missed: int) -> None:
    firing = after(late * MINUTE, **fields)
    assert (minutes(firing), firing.missed) == (runs, missed)
    assert firing.next_at is not None
    assert firing.next_at > DUE + late * MINUTE


def test_ticks_of_one_look_all_run_if_they_are_on_time() -> None:
    """A keeper looks each second or so: two ticks of a second may be due at once, and none of them is missed."""
    for missed_runs in MissedRuns:
        firing = after(2.3 * SECOND, cron="* * * * * *", missed_runs=missed_runs)
        assert [job.scheduled_for for job in firing.jobs] == [DUE, DUE + SECOND, DUE + 2 * SECOND]
        assert firing.missed == 0


@pytest.mark.parametrize(("overlap", "expected"), [(Overlap.SKIP, 0), (Overlap.CANCEL_OTHER, 2)])
def test_ticks_of_one_look_do_not_overlap_where_they_must_not(overlap: Overlap, expected: int) -> None:
    firing = after(2.3 * SECOND, cron="* * * * * *", overlap=overlap)
    assert [job.scheduled_for for job in firing.jobs] == [DUE + expected * SECOND]
    assert (firing.skipped, firing.missed) == (2, 0)


def test_years_of_missed_seconds_are_counted_up_to_a_bound() -> None:
    firing = after(timedelta(days=2000), cron="* * * * * *", missed_runs="run_once", overlap="skip")
    assert (len(firing.jobs), firing.missed + len(firing.jobs) + firing.skipped) == (1, COUNTED_MAX)


@given(
    late_s=st.floats(0, 20_000),
    missed_runs=st.sampled_from(MissedRuns),
    overlap=st.sampled_from(Overlap),
    deadline_s=st.none() | st.floats(1, 10_000),
    most=st.integers(1, 100),
)
def test_every_due_tick_runs_or_is_counted(
    late_s: float, missed_runs: MissedRuns, overlap: Overlap, deadline_s: float | None, most: int
) -> None:
    firing = after(
        timedelta(seconds=late_s), missed_runs=missed_runs, overlap=overlap, start_deadline_s=deadline_s,
        max_missed_runs=most,
    )  # fmt: skip
    assert len(firing.jobs) + firing.skipped + firing.missed == late_s // 60 + 1
    ticks = [job.scheduled_for for job in firing.jobs]
    assert ticks == sorted(set(ticks), key=lambda tick: tick or DUE)


def test_a_paused_plan_waits_for_nothing() -> None:
    plan = schedule().plan
    assert plan.next_at(DUE) == DUE + MINUTE
    assert plan.resting(True).next_at(DUE) is None


def test_a_zone_that_is_gone_is_a_named_mistake() -> None:
    with pytest.raises(InvalidInput, match="timezone"):
        after(SECOND, timezone="Mars/Olympus")


@pytest.mark.parametrize(
    ("overlap", "submits", "skips", "cancels"),
    [("skip", 0, 1, False), ("allow_all", 1, 0, False), ("cancel_other", 1, 0, True)],
)
def test_a_tick_that_meets_open_jobs_follows_the_overlap_policy(
    overlap: str, submits: int, skips: int, cancels: bool
) -> None:
    running, stopping = uuid7(), uuid7()
    decision = after(SECOND, overlap=overlap).decide({running: True, stopping: False}, set())
    assert (len(decision.jobs), decision.skipped) == (submits, skips)
    assert decision.others == ((running,) if cancels else ()), "a cancelled job is not cancelled again"
    assert decision.last_at == (DUE if submits else None)


@pytest.mark.parametrize("overlap", Overlap)
def test_a_tick_that_has_a_job_gets_no_other_and_cancels_none(overlap: Overlap) -> None:
    decision = after(SECOND, overlap=overlap).decide({uuid7(): True}, {DUE})
    assert (decision.jobs, decision.others, decision.skipped) == ((), (), 1)
