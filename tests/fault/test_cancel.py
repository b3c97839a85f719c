"""Cancel means cancelled: at once for the reader, soon for the process, with a receipt, and never another job."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest

from tests.harness import Harness, gone, supervisor
from tests.invariants import check
from tests.waiting import until

pytestmark = pytest.mark.fault


def cancel(longrun: Harness, job_id: str, status: int = httpx.codes.ACCEPTED) -> dict[str, Any]:
    answer = longrun.api.delete(f"/tasks/{job_id}")
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def endless(longrun: Harness, task_type: str) -> str:
    return longrun.submit(task_type, {"seconds": 600, "folder": str(longrun.folder)})


def test_a_queued_job_is_cancelled_at_once_and_never_runs(apart: Harness) -> None:
    job_id = apart.tick(1)
    task = cancel(apart, job_id, httpx.codes.OK)
    assert task["status"] == "CANCELLED"
    assert task["cancel"]["method"] == "queued"
    assert task["cancel"]["stopped_at"]
    apart.worker()
    apart.reaches(apart.submit(), "SUCCESS")
    assert apart.ticks(job_id) == []
    check(apart, [job_id])


def test_a_delayed_job_is_cancelled_at_once_and_never_runs(longrun: Harness) -> None:
    job_id = longrun.tick(1, delay_s=1)
    assert cancel(longrun, job_id, httpx.codes.OK)["cancel"]["method"] == "queued"
    longrun.reaches(longrun.submit(delay_s=1.5), "SUCCESS")
    assert longrun.ticks(job_id) == []
    check(longrun, [job_id])


def test_a_task_that_listens_stops_cooperatively(longrun: Harness) -> None:
    job_id = endless(longrun, "test_polite")
    pid = longrun.runs(job_id).pid
    task = cancel(longrun, job_id)
    assert task["status"] == "CANCELLED"
    assert longrun.stopped(job_id)["cancel_method"] == "cooperative"
    assert not gone(pid)
    check(longrun, [job_id])


def test_a_task_that_does_not_listen_is_interrupted_by_a_signal(longrun: Harness) -> None:
    job_id = endless(longrun, "test_tick")
    pid = longrun.runs(job_id).pid
    cancel(longrun, job_id)
    assert longrun.stopped(job_id)["cancel_method"] == "signal"
    assert seconds_to_stop(longrun, job_id) > 1.5, "it had no time to stop by itself"
    assert not gone(pid)
    check(longrun, [job_id])


def test_a_signal_that_arrives_just_before_a_call_that_blocks_is_not_lost(apart: Harness) -> None:
    apart.worker(concurrency=1, LONGRUN_CANCEL_SIGNAL_S="0.2")
    job_id = apart.submit("test_block_in_c", {"folder": str(apart.folder)})
    apart.runs(job_id)
    apart.api.delete(f"/tasks/{job_id}")
    assert apart.stopped(job_id)["cancel_method"] == "signal"
    check(apart, [job_id])


def test_a_task_that_swallows_the_interrupt_is_killed_and_the_others_go_on(longrun: Harness) -> None:
    job_id, neighbour = endless(longrun, "test_stubborn"), endless(longrun, "test_polite")
    pid, other_pid = longrun.runs(job_id).pid, longrun.runs(neighbour).pid
    cancel(longrun, job_id)
    assert longrun.stopped(job_id)["cancel_method"] == "kill"
    assert seconds_to_stop(longrun, job_id) > 9.5, "it had no time to stop by itself"
    until(lambda: gone(pid), what="the stubborn child is gone")
    assert not gone(other_pid)
    cancel(longrun, neighbour)
    assert longrun.stopped(neighbour)["fence"] == 1
    check(longrun, [job_id, neighbour])


def test_a_finished_job_cannot_be_cancelled_and_a_second_cancel_gives_the_same_receipt(longrun: Harness) -> None:
    finished = longrun.submit()
    longrun.reaches(finished, "SUCCESS")
    answer = longrun.api.delete(f"/tasks/{finished}")
    assert answer.status_code == httpx.codes.CONFLICT
    assert answer.headers["content-type"] == "application/problem+json"
    cancelled = endless(longrun, "test_polite")
    longrun.runs(cancelled)
    cancel(longrun, cancelled)
    longrun.stopped(cancelled)
    receipts = [cancel(longrun, cancelled, httpx.codes.OK)["cancel"] for _ in range(2)]
    assert receipts[0] == receipts[1]
    check(longrun, [finished, cancelled])


def test_jobs_cancelled_while_their_worker_is_dead_never_run_again(apart: Harness) -> None:
    doomed = apart.worker("doomed")
    running = endless(apart, "test_tick")
    apart.runs(running)
    doomed.kill_group()
    queued = apart.tick(1)
    assert cancel(apart, running)["status"] == "CANCELLED"
    cancel(apart, queued, httpx.codes.OK)
    assert apart.stopped(running)["cancel_method"] == "worker_lost"
    apart.worker("next")
    apart.reaches(apart.submit(), "SUCCESS")
    assert {tick.fence for tick in apart.ticks(running)} == {1}
    assert apart.ticks(queued) == []
    check(apart, [running, queued])


@pytest.mark.timeout(300)  # most of the children are replaced, again and again
def test_a_cancel_as_a_job_ends_never_harms_the_next_job_of_its_child(apart: Harness) -> None:
    apart.worker(concurrency=4, LONGRUN_CANCEL_SIGNAL_S="0.01", LONGRUN_CANCEL_KILL_S="0.3")

    def race(number: int) -> tuple[str, str]:
        seconds = random.uniform(0.1, 0.9)
        task_type = "test_tick" if number % 2 else "test_stubborn"
        job_id = apart.submit(task_type, {"seconds": seconds, "folder": str(apart.folder)})
        successor = apart.submit("sleep", {"seconds": 0.05, "steps": 1})
        apart.runs(job_id)
        time.sleep(random.uniform(max(0, seconds - 0.7), seconds))  # what is under test is any moment near the end
        apart.api.delete(f"/tasks/{job_id}")
        return job_id, successor

    with ThreadPoolExecutor(4) as racers:
        jobs, successors = zip(*racers.map(race, range(60)), strict=True)
    apart.all_reach(successors, "SUCCESS")
    for job_id in jobs:
        until(partial(ended, apart, job_id), what=f"{job_id} ends")
    methods = Counter(apart.job(job_id)["cancel_method"] for job_id in jobs)
    assert {"signal", "kill"} <= methods.keys(), methods
    assert {apart.job(job_id)["fence"] for job_id in successors} == {1}
    check(apart, jobs + successors)


def test_a_child_starts_no_other_job_while_its_supervisor_may_still_mean_to_kill_for_the_last_one(
    apart: Harness,
) -> None:
    worker = apart.worker(concurrency=1, LONGRUN_CANCEL_SIGNAL_S="60", LONGRUN_CANCEL_KILL_S="60")
    job_id, successor = apart.tick(2), apart.tick(0.1)
    apart.runs(job_id)
    cancel(apart, job_id)
    until(lambda: apart.job(job_id)["cancel_acknowledged_at"], what="the supervisor has requested the stop")
    guard = supervisor(worker)
    guard.suspend()
    assert apart.stopped(job_id)["cancel_method"] == "finished"
    with pytest.raises(AssertionError, match="never"):
        until(lambda: apart.job(successor)["fence"], 1, "never")  # that nothing happens can only be waited for
    guard.resume()
    apart.reaches(successor, "SUCCESS")
    check(apart, [job_id, successor])


def ended(longrun: Harness, job_id: str) -> bool:
    job = longrun.job(job_id)
    return job["status"] == "SUCCESS" or bool(job["cancel_stopped_at"])


def seconds_to_stop(longrun: Harness, job_id: str) -> float:
    job = longrun.job(job_id)
    return float((job["cancel_stopped_at"] - job["cancel_requested_at"]).total_seconds())
