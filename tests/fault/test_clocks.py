"""Clocks step or stand still: nobody is declared dead for a step, and no lease lasts longer for a suspend."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from longrun_local.postgres import EmbeddedPostgres
from tests.conftest import database
from tests.fault.clock import Hooks, let_database_clock_be_stepped, step_database_clock
from tests.harness import LEASE_S, NOTICED_S, Harness, environment
from tests.invariants import check
from tests.processes import Stack
from tests.thorough import cases
from tests.waiting import until

pytestmark = pytest.mark.fault

STEP_S = 60.0
HOUR_S = 3600.0
SLACK_S = 1.0
"""For a machine that other tests use too."""


@pytest.fixture
def clocked(postgres: EmbeddedPostgres, migrated_template: str, redis_url: str, tmp_path: Path) -> Iterator[Harness]:
    """Longrun on a database whose clock can be stepped."""
    with database(postgres, migrated_template) as url, Stack(url, redis_url, tmp_path) as stack:
        let_database_clock_be_stepped(url)
        api = stack.api(env=environment(tmp_path))
        with httpx.Client(base_url=api.url, timeout=30) as client:
            yield Harness(stack, client, "clocked", tmp_path)


@pytest.mark.parametrize("step_s", cases([STEP_S, -STEP_S]), ids=["forward", "back"])
def test_a_step_of_the_databases_clock_kills_no_worker_and_delays_no_job(clocked: Harness, step_s: float) -> None:
    worker = clocked.worker(concurrency=2)
    worker_id = clocked.worker_id(worker)
    before = clocked.sql("SELECT now() AS at")[0]["at"]
    running = clocked.tick(LEASE_S + 4)
    clocked.runs(running)
    step_database_clock(clocked.stack.database_url, step_s)
    stepped = (clocked.sql("SELECT now() AS at")[0]["at"] - before).total_seconds()
    assert abs(stepped - step_s) < STEP_S / 2, "the clock was not stepped"
    jobs = [clocked.submit(), clocked.submit("test_flaky", {"failures": 1}), clocked.submit(delay_s=1)]
    clocked.all_reach(jobs, "SUCCESS")
    assert clocked.reaches(running, "SUCCESS")["fence"] == 1
    assert clocked.worker_id(worker) == worker_id
    check(clocked, [running, *jobs])


def test_a_step_of_a_workers_host_clock_changes_nothing(apart: Harness) -> None:
    """The host's clock as Python's `time.time()` tells it, which Celery uses too."""
    hooks = Hooks(apart.folder)
    worker = apart.worker("shifted", 2, **hooks.within(environment(apart.stack.folder)))
    worker_id = apart.worker_id(worker)
    running = apart.tick(LEASE_S + 3)
    apart.runs(running)
    jobs = []
    for step_s in (HOUR_S, -HOUR_S, 0):
        hooks.step_clock(step_s)
        overrun = apart.tick(60, timeout_s=0.5)
        jobs += [apart.submit(), overrun]
        assert apart.reaches(overrun, "FAILED")["error"]["kind"] == "timeout"
        apart.reaches(jobs[-2], "SUCCESS")
    assert apart.reaches(running, "SUCCESS")["fence"] == 1
    assert apart.worker_id(worker) == worker_id
    check(apart, [running, *jobs])


def test_a_run_ends_within_half_a_second_after_its_hosts_suspend_once_its_lease_is_over(apart: Harness) -> None:
    """As the processes see it: nothing happened, and `time.monotonic()` stood still meanwhile."""
    hooks = Hooks(apart.folder)
    worker = apart.worker("suspended", 1, **hooks.within(environment(apart.stack.folder)))
    worker_id = apart.worker_id(worker)
    job_id = apart.tick(600)
    apart.runs(job_id)
    worker.send_group(signal.SIGSTOP)
    stopped_at = time.monotonic()
    apart.worker("other", 1)
    until(lambda: apart.job(job_id)["fence"] == 2, NOTICED_S + 5, "it runs elsewhere")
    resumed_at = time.monotonic()
    hooks.suspended(resumed_at - stopped_at)
    worker.send_group(signal.SIGCONT)
    until(lambda: apart.worker_id(worker) not in (None, worker_id), what="the worker has a new lease")
    last = max(tick.at for tick in apart.ticks(job_id) if tick.fence == 1)
    assert last - resumed_at < 0.5 + SLACK_S
    more = [apart.submit("test_pid") for _ in range(4)]
    apart.all_reach(more, "SUCCESS")
    apart.api.delete(f"/tasks/{job_id}")
    apart.stopped(job_id)
    check(apart, [job_id, *more], frozen=[job_id])
