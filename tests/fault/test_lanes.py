"""Many jobs in one child: they run beside each other and beside its main thread, and none harms the others."""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import Any

import pytest

from longrun_local import services
from tests.harness import Harness, environment, gone
from tests.invariants import check
from tests.processes import READY_S
from tests.thorough import cases
from tests.waiting import until

pytestmark = pytest.mark.fault

BESIDE = ("test_tick_async", "test_tick_thread")


def ticking(longrun: Harness, task_type: str, seconds: float = 600, **options: Any) -> str:
    return longrun.submit(task_type, {"seconds": seconds, "folder": str(longrun.folder)}, **options)


def cancel(longrun: Harness, *job_ids: str) -> None:
    for job_id in job_ids:
        longrun.api.delete(f"/tasks/{job_id}")
    for job_id in job_ids:
        longrun.stopped(job_id)


def logged(longrun: Harness, job_id: str) -> list[str]:
    return [event["data"]["message"] for event in longrun.events(job_id) if event["kind"] == "log"]


def test_async_and_thread_jobs_run_at_once_in_one_child_beside_one_on_its_main_thread(apart: Harness) -> None:
    apart.worker(concurrency=1)
    jobs = [ticking(apart, task_type) for task_type in BESIDE * 10]
    pids = {apart.runs(job_id).pid for job_id in jobs}
    main = ticking(apart, "test_tick")
    pids.add(apart.runs(main).pid)
    assert len(pids) == 1
    counts = {job_id: len(apart.ticks(job_id)) for job_id in [*jobs, main]}
    until(lambda: all(len(apart.ticks(job_id)) > count for job_id, count in counts.items()), what="all of them go on")
    cancel(apart, *jobs, main)
    check(apart, [*jobs, main])


def test_a_job_that_holds_the_main_thread_keeps_no_async_and_thread_jobs_waiting(apart: Harness) -> None:
    """All wake-ups go to main threads, so none reaches this child: it claims by itself, up to its places."""
    apart.worker(concurrency=1, LONGRUN_JOBS_PER_CHILD="4")
    main = ticking(apart, "test_tick")
    pid = apart.runs(main).pid
    waits = ticking(apart, "test_polite", 0.3)
    jobs = [ticking(apart, task_type) for task_type in BESIDE * 3]
    until(lambda: sum(bool(apart.ticks(job_id)) for job_id in jobs) == 4, what="four jobs run beside it")
    begun = [job_id for job_id in jobs if apart.ticks(job_id)]
    cancel(apart, begun[0])
    until(lambda: sum(bool(apart.ticks(job_id)) for job_id in jobs) == 5, what="the next one takes its place")
    assert {apart.runs(job_id).pid for job_id in begun} == {pid}
    assert not apart.ticks(waits)
    cancel(apart, main, *(job_id for job_id in jobs if job_id != begun[0]))
    apart.reaches(waits, "SUCCESS")
    check(apart, [main, waits, *jobs])


@pytest.mark.parametrize("task_type", BESIDE)
def test_a_full_child_takes_the_next_job_when_a_run_ends_and_never_one_too_many(apart: Harness, task_type: str) -> None:
    apart.worker(concurrency=1, LONGRUN_JOBS_PER_CHILD="2")
    jobs = [ticking(apart, task_type, 0.3) for _ in range(7)]
    apart.all_reach(jobs, "SUCCESS")
    spans = sorted((ticks[0].at, ticks[-1].at) for job_id in jobs if (ticks := apart.ticks(job_id)))
    assert max(sum(began <= at <= ended for began, ended in spans) for at, _ in spans) == 2
    check(apart, jobs)


def test_jobs_spread_over_the_children(apart: Harness) -> None:
    apart.worker(concurrency=2, LONGRUN_JOBS_PER_CHILD="8")
    # one on each main thread, until both are there: then both children are ready
    first = [apart.submit("test_stay", {"folder": str(apart.folder)}) for _ in range(2)]
    assert len({apart.runs(job_id).pid for job_id in first}) == 2
    (apart.folder / "go").touch()
    apart.all_reach(first, "SUCCESS")
    jobs = [ticking(apart, "test_tick_async") for _ in range(12)]
    found = Counter(apart.runs(job_id).pid for job_id in jobs)
    assert len(found) == 2, found
    cancel(apart, *jobs)
    check(apart, [*first, *jobs])


@pytest.mark.parametrize(("task_type", "method"), [("test_tick_async", "cooperative"), ("test_tick_thread", "signal")])
def test_a_cancel_stops_one_run_and_none_of_its_neighbours(apart: Harness, task_type: str, method: str) -> None:
    apart.worker(concurrency=1, LONGRUN_CANCEL_SIGNAL_S="0.5")
    job_id, *others = [ticking(apart, kind) for kind in (task_type, *BESIDE * 3)]
    for each in (job_id, *others):
        apart.runs(each)
    cancel(apart, job_id)
    assert apart.job(job_id)["cancel_method"] == method
    counts = {each: len(apart.ticks(each)) for each in others}
    until(lambda: all(len(apart.ticks(each)) > count for each, count in counts.items()), what="the others go on")
    cancel(apart, *others)
    check(apart, [job_id, *others])


@pytest.mark.parametrize("task_type", BESIDE)
def test_a_run_that_takes_too_long_is_stopped_and_its_neighbour_is_not(apart: Harness, task_type: str) -> None:
    apart.worker(concurrency=1)
    neighbour = ticking(apart, "test_tick_async")
    apart.runs(neighbour)
    job_id = ticking(apart, task_type, timeout_s=0.5)
    assert apart.reaches(job_id, "FAILED")["error"]["kind"] == "timeout"
    assert apart.job(neighbour)["fence"] == 1
    cancel(apart, neighbour)
    check(apart, [job_id, neighbour])


BAD = {
    "exit": ("SystemExit", "3"),
    "interrupt": ("KeyboardInterrupt", "KeyboardInterrupt"),
    "exit_in_a_task_of_its_own": ("SystemExit", "3"),
    "exit_where_nobody_awaits": ("ValueError", "the run goes on"),
    "run_a_loop": ("RuntimeError", "asyncio.run() cannot be called from a running event loop"),
    "stop_the_loop": ("ValueError", "the loop turns"),
    "cancel_itself": ("CancelledError", "CancelledError"),
    "fork": ("ValueError", "the fork exited with 0"),
}


def test_what_would_end_an_event_loop_ends_one_run(apart: Harness) -> None:
    apart.worker(concurrency=1)
    neighbour = ticking(apart, "test_tick_async")
    pid = apart.runs(neighbour).pid
    jobs = {kind: apart.submit("test_async_bad", {"kind": kind}) for kind in BAD}
    errors = {kind: apart.reaches(job_id, "FAILED")["error"] for kind, job_id in jobs.items()}
    assert {kind: (error["type"], error["message"]) for kind, error in errors.items()} == BAD
    assert {tick.pid for tick in apart.ticks(neighbour)} == {pid}
    cancel(apart, neighbour)
    assert apart.job(neighbour)["fence"] == 1
    check(apart, [*jobs.values(), neighbour])


BAD_IN_A_THREAD = {
    "exit": ("SystemExit", "3"),
    "interrupt": ("KeyboardInterrupt", "KeyboardInterrupt"),
    "run_a_loop": ("SystemExit", "3"),
    "fork": ("ValueError", "the fork exited with 0"),
}


def test_what_would_end_a_thread_ends_one_run(apart: Harness) -> None:
    apart.worker(concurrency=1)
    neighbours = [ticking(apart, task_type) for task_type in BESIDE]
    pids = {job_id: apart.runs(job_id).pid for job_id in neighbours}
    jobs = {kind: apart.submit("test_thread_bad", {"kind": kind}) for kind in BAD_IN_A_THREAD}
    errors = {kind: apart.reaches(job_id, "FAILED")["error"] for kind, job_id in jobs.items()}
    assert {kind: (error["type"], error["message"]) for kind, error in errors.items()} == BAD_IN_A_THREAD
    assert {job_id: {tick.pid for tick in apart.ticks(job_id)} for job_id in neighbours} == {
        job_id: {pid} for job_id, pid in pids.items()
    }
    cancel(apart, *neighbours)
    check(apart, [*jobs.values(), *neighbours])


@pytest.mark.parametrize("lane", cases(["thread", "async"]))
def test_a_job_that_ends_its_process_every_time_fails_alone_among_twenty_neighbours(apart: Harness, lane: str) -> None:
    apart.worker(concurrency=1)
    neighbours = [ticking(apart, f"test_tick_{lane}", 4) for _ in range(20)]
    for job_id in neighbours:
        apart.runs(job_id)
    poison = apart.submit(f"test_{lane}_dies", {"deaths": 99})
    error = apart.reaches(poison, "FAILED")["error"]
    assert (error["kind"], apart.job(poison)["crashes"]) == ("worker_lost", 3)
    apart.all_reach(neighbours, "SUCCESS")
    rows = [apart.job(job_id) for job_id in neighbours]
    assert {(row["attempt"], row["crashes"], row["losses"]) for row in rows} == {(1, 0, 0)}
    check(apart, [*neighbours, poison])


def test_an_async_task_that_ends_its_process_counts_as_a_crash_of_its_own(apart: Harness) -> None:
    apart.worker(concurrency=1)
    neighbour = ticking(apart, "test_tick_async", 3)
    apart.runs(neighbour)
    deadly = apart.submit("test_async_dies", {"deaths": 1})
    apart.all_reach([neighbour, deadly], "SUCCESS")
    assert (apart.job(deadly)["crashes"], apart.job(deadly)["losses"]) == (1, 0)
    assert apart.job(neighbour)["crashes"] == 0
    check(apart, [neighbour, deadly])


def test_jobs_whose_event_loop_has_died_run_elsewhere(apart: Harness) -> None:
    apart.worker(concurrency=1)
    neighbours = [ticking(apart, task_type, 3) for task_type in BESIDE]
    for job_id in neighbours:
        apart.runs(job_id)
    deadly = apart.submit("test_async_ends_the_loop", {"deaths": 1})
    apart.all_reach([*neighbours, deadly], "SUCCESS")
    assert (apart.job(deadly)["crashes"], apart.job(deadly)["losses"]) in ((1, 0), (0, 0))
    assert [apart.job(job_id)["crashes"] for job_id in neighbours] == [0, 0]
    check(apart, [*neighbours, deadly])


@pytest.mark.parametrize("deaf", cases([False, True]))
def test_tasks_that_a_run_leaves_behind_end_with_it_and_its_log_says_so(apart: Harness, deaf: bool) -> None:
    apart.worker(concurrency=1)
    job_id = apart.submit("test_async_leaves", {"folder": str(apart.folder), "deaf": deaf})
    assert apart.reaches(job_id, "SUCCESS")["result"] == "returned"
    [line] = logged(apart, job_id)
    assert "returned before 1 of its asyncio tasks; they were cancelled (left)" in line
    assert ("1 did not end within 5 s" in line) == deaf
    if deaf:
        pid = apart.runs(job_id).pid
        after = apart.submit("test_pid")
        assert apart.reaches(after, "SUCCESS")["result"]["pid"] != pid, "the child was replaced"
    else:
        assert max(tick.at for tick in apart.ticks(job_id)) < apart.runs(job_id).at + 5
    check(apart, [job_id])


def test_threads_that_runs_leave_behind_are_named_in_their_logs_and_many_of_them_cost_the_child(
    apart: Harness,
) -> None:
    worker = apart.worker(concurrency=1)
    leaving = ("test_thread_leaves", "test_process_leaves", "test_async_leaves_threads")
    jobs = [apart.submit(task_type) for task_type in leaving]
    (pid,) = {apart.reaches(job_id, "SUCCESS")["result"] for job_id in jobs}
    for job_id in jobs:
        [line] = logged(apart, job_id)
        assert line.startswith("this run left a thread running, ")
        assert line.endswith(": left-0")
    many = apart.submit("test_thread_leaves", {"threads": 20})
    assert apart.reaches(many, "SUCCESS")["result"] == pid
    until(lambda: gone(pid), what="the child is gone")
    after = apart.submit("test_pid")
    assert apart.reaches(after, "SUCCESS")["result"]["pid"] != pid
    worker.terminate()
    assert worker.wait() == 0
    until(lambda: not worker.pids, what="nothing is left of the worker")
    check(apart, [*jobs, many, after])


def test_steps_and_checkpoints_of_an_async_task_hold_for_the_next_attempt(apart: Harness) -> None:
    apart.worker(concurrency=1)
    job_id = apart.submit("test_lane_steps", {"folder": str(apart.folder)})
    job = apart.reaches(job_id, "SUCCESS")
    assert job["result"] == {"steps": ["a", "B"], "checkpoint": {"attempt": 1}}
    assert {tick.fence for tick in apart.ticks(job_id)} == {1}, "the steps ran once"
    check(apart, [job_id])


def test_lines_of_an_async_task_are_stored_in_order_and_what_it_prints_has_its_id(apart: Harness) -> None:
    worker = apart.worker(concurrency=1)
    jobs = [apart.submit("test_lane_talks", {"lines": 3000}) for _ in range(3)]
    apart.all_reach(jobs, "SUCCESS")
    for job_id in jobs:
        # a busy machine takes so long for them that Longrun says in the log that the loop is blocked
        said = [message for message in logged(apart, job_id) if message.startswith("line ")]
        assert said == [f"line {number}" for number in range(3000)]
        [printed] = [line for line in worker.log().splitlines() if f"printed by {job_id}" in line]
        assert f"job_id={job_id}" in printed
    check(apart, jobs)


def test_the_run_that_blocks_the_event_loop_is_named_in_its_own_log(apart: Harness) -> None:
    apart.worker(concurrency=1)
    neighbours = [ticking(apart, "test_tick_async") for _ in range(5)]
    for job_id in neighbours:
        apart.runs(job_id)
    blocking = ticking(apart, "test_async_block", 2.5)
    apart.reaches(blocking, "SUCCESS")
    [line] = logged(apart, blocking)
    assert "this task has blocked the event loop for" in line
    assert "tasks_that_harm_lanes.py:" in line
    assert " in block;" in line
    assert [logged(apart, job_id) for job_id in neighbours] == [[]] * 5
    assert {apart.job(job_id)["fence"] for job_id in neighbours} == {1}, "the lease held"
    cancel(apart, *neighbours)
    check(apart, [blocking, *neighbours])


@pytest.mark.parametrize("end", cases(["max-tasks", "signal"]))
def test_a_child_that_ends_lets_its_runs_finish_and_hands_the_others_back(apart: Harness, end: str) -> None:
    option = ["--max-tasks-per-child=3"] if end == "max-tasks" else []
    command = [*services.worker(services.WORKER_APP, "ending"), *option]
    env = {"LONGRUN_QUEUES": apart.queue, "LONGRUN_WORKER_CONCURRENCY": "1", "LONGRUN_DRAIN_S": "4"}
    worker = apart.stack.start("ending", command, {**environment(apart.stack.folder), **env})
    until(lambda: apart.worker_id(worker), READY_S, "the worker has registered")
    short, long = ticking(apart, "test_tick_async", 3), ticking(apart, "test_tick_thread", 8)
    pid = apart.runs(long).pid
    apart.runs(short)
    if end == "signal":
        os.kill(pid, signal.SIGTERM)
    more = [apart.submit("test_pid") for _ in range(3)]
    apart.all_reach([short, long, *more], "SUCCESS")
    assert {tick.fence for tick in apart.ticks(short)} == {1}
    assert {tick.pid for tick in apart.ticks(short)} == {pid}
    job = apart.job(long)
    assert (job["attempt"], job["crashes"], job["losses"]) == (1, 0, 0)
    assert job["fence"] > 1, "on a busy machine the next child may serve the rest of its messages in that time too"
    assert apart.runs(long, fence=2).pid != pid
    check(apart, [short, long, *more])
