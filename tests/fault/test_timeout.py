"""A job that runs longer than its timeout is stopped, politely or not, and says so."""

from __future__ import annotations

import pytest

from tests.harness import Harness, gone
from tests.invariants import check
from tests.waiting import until

pytestmark = pytest.mark.fault


def test_a_task_past_its_timeout_is_interrupted_and_fails_as_timeout(longrun: Harness) -> None:
    job_id = longrun.tick(600, timeout_s=1)
    pid = longrun.runs(job_id).pid
    job = longrun.reaches(job_id, "FAILED")
    assert job["error"]["kind"] == "timeout"
    assert job["error"]["message"] == "it ran longer than 1 s"
    assert (job["finished_at"] - job["started_at"]).total_seconds() >= 1
    assert not gone(pid)
    check(longrun, [job_id])


def test_a_task_that_swallows_its_timeout_is_killed_and_fails_as_timeout(longrun: Harness) -> None:
    job_id = longrun.submit("test_stubborn", {"seconds": 600, "folder": str(longrun.folder)}, timeout_s=0.5)
    pid = longrun.runs(job_id).pid
    job = longrun.reaches(job_id, "FAILED")
    assert job["error"]["kind"] == "timeout"
    assert (job["crashes"], job["losses"], job["fence"]) == (0, 0, 1)
    until(lambda: gone(pid), what="its child is gone")
    check(longrun, [job_id])


def test_a_timeout_is_a_try_that_counts_and_is_retried(longrun: Harness) -> None:
    job_id = longrun.tick(600, timeout_s=0.3, max_attempts=2)
    job = longrun.reaches(job_id, "FAILED")
    assert (job["attempt"], job["fence"], job["error"]["kind"]) == (2, 2, "timeout")
    check(longrun, [job_id])
