"""A host at its limits: no more memory, no more processes, a child that does not move, a result of many megabytes."""

from __future__ import annotations

import signal
import sys

import psutil
import pytest

from tests.fault.clock import Hooks
from tests.harness import Harness, children, environment, gone
from tests.invariants import check
from tests.waiting import until

pytestmark = pytest.mark.fault


def test_a_child_that_is_frozen_past_its_jobs_timeout_is_killed(longrun: Harness) -> None:
    job_id = longrun.tick(600, timeout_s=1)
    tick = longrun.runs(job_id)
    frozen = psutil.Process(tick.pid)
    frozen.send_signal(signal.SIGSTOP)
    try:
        job = longrun.reaches(job_id, "FAILED")
    finally:
        if frozen.is_running():
            frozen.resume()
    assert job["error"]["kind"] == "timeout"
    until(lambda: gone(tick.pid), what="its child is gone")
    check(longrun, [job_id])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_job_that_takes_all_memory_fails_alone(apart: Harness) -> None:
    apart.worker(concurrency=1)
    neighbours = [apart.submit(), apart.submit()]
    leak = apart.submit("test_leak", {"megabytes": 64})
    neighbours += [apart.submit(), apart.tick(0.1)]
    job = apart.reaches(leak, "FAILED")
    assert job["error"]["type"] == "MemoryError" or job["error"]["kind"] == "worker_lost", job["error"]
    apart.all_reach(neighbours, "SUCCESS")
    check(apart, [leak, *neighbours])


def test_a_result_of_ten_megabytes_arrives_whole_and_holds_up_no_other(apart: Harness) -> None:
    apart.worker(concurrency=2, LONGRUN_MAX_RESULT_BYTES=str(16 * 2**20))
    large = [apart.submit("test_large", {"megabytes": 10}) for _ in range(2)]
    small = [apart.submit(input={"n": n}) for n in range(20)]
    apart.all_reach([*small, *large], "SUCCESS")
    for job_id in large:
        result = apart.api.get(f"/tasks/{job_id}").json()["result"]
        assert result == {"text": "x" * (10 * 2**20)}
        assert apart.job(job_id)["fence"] == 1
    check(apart, [*large, *small])


def test_a_worker_whose_host_can_start_no_process_loses_no_job_and_works_again_later(apart: Harness) -> None:
    hooks = Hooks(apart.folder)
    crowded = apart.worker("crowded", 2, **hooks.within(environment(apart.stack.folder)))
    jobs = [apart.tick(3) for _ in range(2)]
    for job_id in jobs:
        apart.runs(job_id)
    hooks.refuse_forks(True)
    for child in children(crowded):
        child.kill()
    until(lambda: hooks.refused_forks() >= 3, what="it tries again and again")
    crowded.check()
    hooks.refuse_forks(False)
    apart.all_reach(jobs, "SUCCESS")
    assert crowded.log().count("cannot start a child") == 1
    assert {(job["attempt"] - job["crashes"] - job["losses"]) for job in map(apart.job, jobs)} == {1}
    both = [apart.tick(1), apart.tick(1)]
    assert len({apart.runs(job_id).pid for job_id in both}) == 2
    apart.all_reach(both, "SUCCESS")
    check(apart, [*jobs, *both])
