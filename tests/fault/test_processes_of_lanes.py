"""Of several runs in one child, each ends the processes that it started, and no others."""

from __future__ import annotations

import pytest

from tests.fault.tasks_that_start import alive
from tests.fault.test_processes_of_runs import assert_dead, end_survivors, files, warnings
from tests.harness import Harness
from tests.invariants import check
from tests.waiting import until

__all__ = ["end_survivors"]

pytestmark = pytest.mark.fault

KINDS = ["shell", "ignores-sigterm", "daemon", "empty-environment", "fork"]


def started(longrun: Harness, lane: str, ending: str) -> str:
    """A job in this lane whose run has started processes."""
    job_id = longrun.submit(f"test_leave_{lane}", {"folder": str(longrun.folder), "kinds": KINDS, "ending": ending})
    longrun.runs(job_id)
    until(lambda: all(alive([path]) for path in files(longrun, job_id)) or ending == "returns")
    return job_id


@pytest.mark.parametrize("lane", ["in_thread", "async"])
def test_a_cancelled_run_ends_its_processes_and_a_run_beside_it_keeps_its_own(apart: Harness, lane: str) -> None:
    apart.worker(concurrency=1)
    staying, going = started(apart, lane, "polite"), started(apart, lane, "polite")
    apart.api.delete(f"/tasks/{going}")
    job = apart.stopped(going)
    assert_dead(apart, going, job["cancel_stopped_at"].timestamp(), "the receipt")
    assert [path.name for path in files(apart, staying) if not alive([path])] == []
    apart.api.delete(f"/tasks/{staying}")
    job = apart.stopped(staying)
    assert_dead(apart, staying, job["cancel_stopped_at"].timestamp(), "the receipt")
    check(apart, [staying, going])


@pytest.mark.parametrize("lane", ["in_thread", "async"])
def test_what_a_run_beside_others_left_is_dead_before_its_success_is_stored(apart: Harness, lane: str) -> None:
    apart.worker(concurrency=1)
    staying = started(apart, lane, "polite")
    job_id = started(apart, lane, "returns")
    job = apart.reaches(job_id, "SUCCESS")
    assert_dead(apart, job_id, job["finished_at"].timestamp(), "the success")
    assert len(warnings(apart, job_id)) == 1
    assert [path.name for path in files(apart, staying) if not alive([path])] == []
    apart.api.delete(f"/tasks/{staying}")
    apart.stopped(staying)
