"""A deploy: SIGTERM lets short jobs finish, hands long ones back with their try, and ends in time with code 0."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from longrun_local.valkey import EmbeddedValkey
from tests.harness import Harness
from tests.invariants import check
from tests.processes import Process
from tests.thorough import cases
from tests.waiting import until

pytestmark = pytest.mark.fault

GRACE_S = 30.0
"""The grace period that Longrun asks for is the drain time and this."""


def group(worker: Process) -> None:
    os.killpg(worker.pid, signal.SIGTERM)


@pytest.mark.parametrize("terminate", cases([Process.terminate, group]), ids=["main alone", "process group"])
def test_a_draining_worker_finishes_short_jobs_and_hands_long_ones_back(
    apart: Harness, terminate: Callable[[Process], None]
) -> None:
    leaving = apart.worker("leaving", concurrency=2, LONGRUN_DRAIN_S="3")
    short, long = apart.tick(0.5), apart.tick(10)
    apart.runs(short)
    apart.runs(long)
    queued = [apart.submit(input={"n": n}) for n in range(10)]
    terminate(leaving)
    assert leaving.wait(GRACE_S) == 0
    done, handed_back = apart.job(short), apart.job(long)
    assert (done["status"], done["fence"], done["attempt"]) == ("SUCCESS", 1, 1)
    assert (handed_back["status"], handed_back["fence"], handed_back["attempt"]) == ("PENDING", 1, 0)
    assert (handed_back["crashes"], handed_back["losses"]) == (0, 0)
    check(apart, [short, long, *queued], due=[long, *queued])
    apart.worker("next")
    apart.all_reach([long, *queued], "SUCCESS")
    assert apart.job(long)["attempt"] == 1
    check(apart, [short, long, *queued])


def test_a_task_that_swallows_the_drain_is_killed_and_handed_back_with_its_try(apart: Harness) -> None:
    leaving = apart.worker("leaving", LONGRUN_DRAIN_S="0.5", LONGRUN_CANCEL_KILL_S="3")
    stubborn = apart.submit("test_stubborn", {"seconds": 600, "folder": str(apart.folder)})
    apart.runs(stubborn)
    leaving.terminate()
    assert leaving.wait(GRACE_S) == 0
    job = apart.job(stubborn)
    assert (job["status"], job["attempt"], job["crashes"], job["losses"]) == ("PENDING", 0, 0, 0)
    apart.api.delete(f"/tasks/{stubborn}")
    check(apart, [stubborn])


def test_a_worker_ends_within_its_grace_while_redis_is_frozen(apart: Harness, redis_server: EmbeddedValkey) -> None:
    leaving = apart.worker("leaving", LONGRUN_DRAIN_S="1")
    job_id = apart.tick(600)
    apart.runs(job_id)
    assert redis_server.pid
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        leaving.terminate()
        leaving.wait(1 + GRACE_S)
        until(lambda: not leaving.pids, what="nothing is left of the worker")
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)
    job = apart.job(job_id)
    assert (job["status"], job["attempt"]) == ("PENDING", 0)
    apart.api.delete(f"/tasks/{job_id}")
    check(apart, [job_id])


def test_an_idle_worker_leaves_at_once_and_says_so(apart: Harness) -> None:
    worker = apart.worker()
    worker_id = apart.worker_id(worker)
    apart.reaches(apart.submit(), "SUCCESS")
    worker.terminate()
    assert worker.wait() == 0
    until(lambda: not worker.pids, what="nothing is left of the worker")
    assert apart.sql("SELECT state FROM workers WHERE id = %s", worker_id)[0]["state"] == "gone"
