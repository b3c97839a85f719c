"""A worker, or one of its processes, dies or freezes: its jobs run elsewhere, and never in two places at once."""

from __future__ import annotations

import signal
import time

import pytest

from tests.fault.conftest import FLEET_CHILDREN
from tests.harness import LEASE_S, NOTICED_S, Harness, children, gone, supervisor
from tests.invariants import check
from tests.waiting import until

pytestmark = pytest.mark.fault


def test_the_job_of_a_killed_worker_runs_elsewhere_after_its_lease(longrun: Harness) -> None:
    job_id = longrun.tick(2 * LEASE_S)
    doomed, _heir = longrun.runner(longrun.runs(job_id))
    doomed.kill_group()
    until(lambda: longrun.job(job_id)["fence"] == 2, NOTICED_S, "the job is claimed again")
    job = longrun.reaches(job_id, "SUCCESS", 3 * LEASE_S)
    assert (job["losses"], job["crashes"]) == (1, 0)
    check(longrun, [job_id])


def test_a_killed_main_process_gives_its_job_back_at_once_and_takes_its_children_along(longrun: Harness) -> None:
    job_id = longrun.tick(3)
    tick = longrun.runs(job_id)
    doomed, _heir = longrun.runner(tick)
    guard = supervisor(doomed).pid
    doomed.kill()
    killed_at = time.monotonic()
    assert longrun.runs(job_id, fence=2).at - killed_at < LEASE_S, "nobody had to wait for the lease"
    until(lambda: gone(tick.pid) and gone(guard), what="nothing is left of the worker")
    job = longrun.reaches(job_id, "SUCCESS")
    assert (job["losses"], job["crashes"]) == (1, 0)
    check(longrun, [job_id])


def test_the_job_of_a_frozen_main_process_goes_on_under_its_supervisor_and_new_ones_run_elsewhere(
    longrun: Harness,
) -> None:
    long_job = longrun.tick(LEASE_S + 2)
    frozen, _other = longrun.runner(longrun.runs(long_job))
    frozen.send(signal.SIGSTOP)
    others = [longrun.submit(input={"n": n}) for n in range(10)]
    longrun.all_reach(others, "SUCCESS")
    assert longrun.reaches(long_job, "SUCCESS", LEASE_S + 10)["fence"] == 1
    frozen.send(signal.SIGCONT)
    assert_all_children_work(longrun)
    check(longrun, [long_job, *others])


def test_a_worker_whose_supervisor_is_killed_ends_with_its_children_and_its_job_runs_elsewhere(
    longrun: Harness,
) -> None:
    job_id = longrun.tick(3)
    doomed, _heir = longrun.runner(longrun.runs(job_id))
    pool = children(doomed)
    supervisor(doomed).kill()
    assert doomed.wait() == 70
    until(lambda: all(gone(child.pid) for child in pool), what="the children are gone")
    until(lambda: longrun.job(job_id)["fence"] == 2, NOTICED_S, "the job is claimed again")
    assert longrun.reaches(job_id, "SUCCESS")["losses"] == 1
    check(longrun, [job_id])


def test_no_child_runs_past_the_lease_of_a_frozen_supervisor_and_after_thawing_the_worker_works_again(
    longrun: Harness,
) -> None:
    job_id = longrun.tick(600)
    tick = longrun.runs(job_id)
    frozen, _heir = longrun.runner(tick)
    first_id = longrun.worker_id(frozen)
    guard = supervisor(frozen)
    guard.suspend()
    frozen_at = time.monotonic()
    until(lambda: gone(tick.pid), LEASE_S + 1, "the child is killed by the lease's end")
    assert longrun.ticks(job_id)[-1].at - frozen_at < LEASE_S
    until(lambda: longrun.job(job_id)["fence"] == 2, NOTICED_S, "the job is claimed again")
    guard.resume()
    until(lambda: longrun.worker_id(frozen) not in (None, first_id), what="the worker registers anew")
    longrun.api.delete(f"/tasks/{job_id}")
    longrun.stopped(job_id)
    assert_all_children_work(longrun)
    check(longrun, [job_id])


def test_a_worker_that_thaws_after_its_lease_writes_nothing_and_works_again(longrun: Harness) -> None:
    job_id = longrun.tick(2)
    frozen, _heir = longrun.runner(longrun.runs(job_id))
    frozen.send_group(signal.SIGSTOP)
    until(lambda: longrun.job(job_id)["fence"] == 2, NOTICED_S, "the job is claimed by the heir")
    job = longrun.reaches(job_id, "SUCCESS")
    story = longrun.events(job_id)
    frozen.send_group(signal.SIGCONT)
    until(lambda: longrun.worker_id(frozen), what="the thawed worker registers anew")
    assert_all_children_work(longrun)
    assert longrun.job(job_id) == job
    assert longrun.events(job_id) == story
    assert job["result"] == {"fence": 2, "attempt": 2}
    check(longrun, [job_id], frozen=[job_id])


@pytest.mark.thorough
def test_scaling_from_one_worker_to_three_and_back_under_load_loses_nothing(apart: Harness) -> None:
    jobs = [apart.submit("sleep", {"seconds": 0.05, "steps": 1}) for _ in range(100)]
    workers = [apart.worker(name) for name in ("one", "two", "three")]
    jobs += [apart.submit("sleep", {"seconds": 0.05, "steps": 1}) for _ in range(100)]
    for worker in workers[:2]:
        worker.terminate()
    jobs += [apart.submit("sleep", {"seconds": 0.05, "steps": 1}) for _ in range(100)]
    assert [worker.wait() for worker in workers[:2]] == [0, 0]
    apart.all_reach(jobs, "SUCCESS")
    check(apart, jobs)


def assert_all_children_work(longrun: Harness) -> None:
    """As many jobs as the fleet has children run at the same time."""
    jobs = [longrun.tick(600) for _ in range(2 * FLEET_CHILDREN)]
    assert len({longrun.runs(job_id).pid for job_id in jobs}) == len(jobs)
    for job_id in jobs:
        longrun.api.delete(f"/tasks/{job_id}")
    for job_id in jobs:
        longrun.stopped(job_id)
    check(longrun, jobs)
