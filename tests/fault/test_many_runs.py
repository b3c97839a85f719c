"""Many runs in one child: each is stopped, timed out and handed back by itself, whatever its neighbours do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.harness import LEASE_S, Harness, children, gone
from tests.invariants import check
from tests.processes import Process
from tests.thorough import cases
from tests.waiting import until

pytestmark = pytest.mark.fault

QUICKLY = {"LONGRUN_CANCEL_SIGNAL_S": "0.2", "LONGRUN_CANCEL_KILL_S": "1"}
"""So that a test need not wait for seconds until a run that does not stop is overdue."""


def submit(longrun: Harness, lane: str, does: str = "wait", count: int = 1, **options: Any) -> list[str]:
    given = {"does": does, "folder": str(longrun.folder)} | options.pop("given", {})
    return [longrun.submit(f"test_{lane}", given, **options) for _ in range(count)]


def begun(longrun: Harness, jobs: Sequence[str]) -> None:
    for job in jobs:
        longrun.runs(job)


def may_end(longrun: Harness, job: str | None = None) -> None:
    (longrun.folder / (f"go-{job}" if job else "go")).touch()


def cancel(longrun: Harness, job: str) -> None:
    assert longrun.api.delete(f"/tasks/{job}").status_code == 202


def ticks_again(longrun: Harness, jobs: Sequence[str]) -> None:
    """Wait until each of these runs shows that it goes on."""
    counts = {job: len(longrun.ticks(job)) for job in jobs}
    for job in jobs:
        until(lambda job=job: len(longrun.ticks(job)) > counts[job], what=f"{job} goes on")  # type: ignore[misc]


def blamed(longrun: Harness, job: str) -> tuple[int, int, int]:
    """The job's attempts, crashes and losses."""
    row = longrun.job(job)
    return row["attempt"], row["crashes"], row["losses"]


def until_log(worker: Process, text: str) -> None:
    until(lambda: text in worker.log(), what=f"the worker logs {text!r}")


def test_the_cancel_of_one_of_200_async_runs_disturbs_no_other(apart: Harness) -> None:
    apart.worker(concurrency=2, LONGRUN_JOBS_PER_CHILD="100")
    jobs = submit(apart, "async", count=200)
    begun(apart, jobs)
    cancelled, *others = jobs
    cancel(apart, cancelled)
    assert apart.stopped(cancelled)["cancel_method"] == "cooperative"
    ticks_again(apart, others)
    may_end(apart)
    apart.all_reach(others, "SUCCESS")
    assert {apart.job(job)["fence"] for job in others} == {1}
    check(apart, jobs)


@pytest.mark.parametrize(
    ("lane", "does"),
    cases(
        [("async", "swallow"), ("async", "block"), ("thread", "swallow"), ("thread", "block"), ("process", "swallow")],
        always=2,
    ),
)
def test_the_neighbours_of_a_run_that_does_not_stop_finish_before_their_child_is_killed(
    apart: Harness, lane: str, does: str
) -> None:
    worker = apart.worker(concurrency=1, LONGRUN_RETIRE_S="600", **QUICKLY)
    neighbours = submit(apart, "thread", count=2)
    begun(apart, neighbours)
    if lane == "process":
        stuck = apart.submit("test_stubborn", {"seconds": 600, "folder": str(apart.folder)})
    else:
        (stuck,) = submit(apart, lane, does)
    pid = apart.runs(stuck).pid
    cancel(apart, stuck)
    until_log(worker, "its child claims nothing more")
    waiting = apart.submit()
    for job in neighbours:
        may_end(apart, job)
    apart.all_reach(neighbours, "SUCCESS")
    stopped = apart.stopped(stuck)
    assert stopped["cancel_method"] == "kill"
    assert apart.reaches(waiting, "SUCCESS")["started_at"] > stopped["cancel_stopped_at"]
    until(lambda: gone(pid), what="the child is gone")
    assert {apart.job(job)["fence"] for job in neighbours} == {1}
    check(apart, [stuck, waiting, *neighbours])


def test_a_timeout_of_one_run_kills_its_child_and_hands_its_neighbours_back_at_no_cost(apart: Harness) -> None:
    apart.worker(concurrency=1, LONGRUN_RETIRE_S="1", **QUICKLY)
    (neighbour,) = submit(apart, "async")
    begun(apart, [neighbour])
    (late,) = submit(apart, "thread", "swallow", timeout_s=1)
    assert apart.reaches(late, "FAILED")["error"]["kind"] == "timeout"
    apart.runs(neighbour, fence=2)
    may_end(apart)
    apart.reaches(neighbour, "SUCCESS")
    assert blamed(apart, neighbour) == (1, 0, 0)
    check(apart, [late, neighbour])


def test_a_blocked_loop_keeps_the_lease_and_names_the_job_that_blocks_it(apart: Harness) -> None:
    worker = apart.worker(concurrency=1, LONGRUN_JOBS_PER_CHILD="40")
    others = submit(apart, "async", count=20)
    begun(apart, others)
    worker_id = apart.worker_id(worker)
    (blocking,) = submit(apart, "async", "block", given={"seconds": LEASE_S + 3})
    apart.reaches(blocking, "SUCCESS")
    assert apart.worker_id(worker) == worker_id
    ticks_again(apart, others)
    may_end(apart)
    apart.all_reach(others, "SUCCESS")
    said = {job: [line["data"]["message"] for line in apart.events(job) if line["kind"] == "log"] for job in others}
    assert all(lines == [] for lines in said.values())
    (line,) = [event["data"]["message"] for event in apart.events(blocking) if event["kind"] == "log"]
    assert "tasks_of_neighbours.py" in line
    assert "in_async" in line
    until_log(worker, "the event loop of a child is blocked")
    assert f"job_id={blocking}" in worker.log()
    assert {apart.job(job)["fence"] for job in [blocking, *others]} == {1}
    check(apart, [blocking, *others])


def test_a_child_full_of_runs_that_is_killed_runs_each_again_and_none_twice(apart: Harness) -> None:
    worker = apart.worker(concurrency=1, LONGRUN_JOBS_PER_CHILD="40")
    jobs = [*submit(apart, "async", count=20), *submit(apart, "thread", count=20)]
    begun(apart, jobs)
    (child,) = children(worker)
    child.kill()
    may_end(apart)
    apart.all_reach(jobs, "SUCCESS")
    assert {apart.job(job)["fence"] for job in jobs} == {2}
    assert {blamed(apart, job) for job in jobs} == {(1, 0, 0)}
    check(apart, jobs)


def test_a_child_full_of_runs_that_is_frozen_goes_on_with_all_of_them(apart: Harness) -> None:
    worker = apart.worker(concurrency=1, LONGRUN_JOBS_PER_CHILD="40")
    jobs = [*submit(apart, "async", count=20), *submit(apart, "thread", count=20)]
    begun(apart, jobs)
    (child,) = children(worker)
    child.suspend()
    (cancelled, *others) = jobs
    cancel(apart, cancelled)
    until(lambda: apart.job(cancelled)["cancel_acknowledged_at"], what="the cancel is known")
    child.resume()
    assert apart.stopped(cancelled)["cancel_method"] == "cooperative"
    ticks_again(apart, others)
    may_end(apart)
    apart.all_reach(others, "SUCCESS")
    assert {blamed(apart, job) for job in others} == {(1, 0, 0)}
    check(apart, jobs)


def test_a_child_full_of_runs_that_drains_lets_some_finish_and_hands_the_others_back(apart: Harness) -> None:
    worker = apart.worker("leaving", concurrency=1, LONGRUN_DRAIN_S="3", LONGRUN_JOBS_PER_CHILD="40")
    quick = submit(apart, "async", count=10)
    slow = [*submit(apart, "async", count=10), *submit(apart, "thread", count=10)]
    begun(apart, [*quick, *slow])
    worker.terminate()
    for job in quick:
        may_end(apart, job)
    assert worker.wait() == 0
    assert {apart.job(job)["status"] for job in quick} == {"SUCCESS"}
    assert {(apart.job(job)["status"], *blamed(apart, job)) for job in slow} == {("PENDING", 0, 0, 0)}
    apart.worker("next")
    may_end(apart)
    apart.all_reach(slow, "SUCCESS")
    check(apart, [*quick, *slow])
