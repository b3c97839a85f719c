"""A pool child dies: its job runs again at once, and a job that kills its process every time is quarantined."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.fault.conftest import FLEET_CHILDREN
from tests.harness import LEASE_S, Harness
from tests.invariants import check

pytestmark = pytest.mark.fault


def test_a_job_whose_child_is_killed_runs_again_before_any_lease_ends_and_counts_one_crash(longrun: Harness) -> None:
    job_id = longrun.tick(1)
    os.kill(longrun.runs(job_id).pid, signal.SIGKILL)
    killed_at = time.monotonic()
    again = longrun.runs(job_id, fence=2)
    assert again.at - killed_at < LEASE_S
    job = longrun.reaches(job_id, "SUCCESS")
    assert (job["crashes"], job["losses"], job["attempt"]) == (1, 0, 2)
    check(longrun, [job_id])


def test_a_crash_does_not_use_up_max_attempts(longrun: Harness) -> None:
    job_id = longrun.submit("test_poison", {"deaths": 2}, max_attempts=1)
    assert longrun.reaches(job_id, "SUCCESS")["crashes"] == 2
    check(longrun, [job_id])


def test_a_job_that_kills_its_process_every_time_fails_as_worker_lost_after_max_crashes(longrun: Harness) -> None:
    poison = longrun.submit("test_poison", {"deaths": 99})
    others = [longrun.submit(input={"n": n}) for n in range(20)]
    job = longrun.reaches(poison, "FAILED")
    assert (job["crashes"], job["attempt"], job["fence"]) == (3, 3, 3)
    assert job["error"]["kind"] == "worker_lost"
    assert "3 times" in job["error"]["message"]
    longrun.all_reach(others, "SUCCESS")
    check(longrun, [poison, *others])


def test_workers_whose_children_are_killed_use_all_their_children_again(longrun: Harness) -> None:
    everyone = 2 * FLEET_CHILDREN
    first = [longrun.tick(60) for _ in range(everyone)]
    for job_id in first:
        os.kill(longrun.runs(job_id).pid, signal.SIGKILL)
    assert len({longrun.runs(job_id, fence=2).pid for job_id in first}) == everyone
    for job_id in first:
        longrun.api.delete(f"/tasks/{job_id}")
    for job_id in first:
        job = longrun.stopped(job_id)
        assert job["crashes"] + job["losses"] == 1  # several deaths at once are nobody's crash
    check(longrun, first)
