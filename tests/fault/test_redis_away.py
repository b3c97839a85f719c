"""Redis stops, freezes, forgets everything or holds nonsense: nobody waits for it, and no job is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import httpx
import pytest
import redis

from longrun_local.valkey import EmbeddedValkey
from tests.fault.conftest import FLEET_CHILDREN
from tests.fault.test_worker_dies import assert_all_children_work
from tests.harness import Harness
from tests.invariants import check
from tests.waiting import until

pytestmark = pytest.mark.fault

POST_S = 1.0


@contextmanager
def stopped(server: EmbeddedValkey) -> Iterator[None]:
    server.stop(immediate=True)
    try:
        yield
    finally:
        server.start()


@contextmanager
def frozen(server: EmbeddedValkey) -> Iterator[None]:
    assert server.pid
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def submit_quickly(longrun: Harness) -> list[str]:
    """Submit 20 jobs, most of them quickly: one may meet a busy machine."""
    jobs, seconds = list[str](), list[float]()
    for _ in range(20):
        began = time.monotonic()
        jobs.append(longrun.submit())
        seconds.append(time.monotonic() - began)
    assert median(seconds) < POST_S
    return jobs


def test_a_post_is_accepted_while_redis_is_stopped_and_its_job_runs_soon_after_its_return(
    longrun: Harness, redis_server: EmbeddedValkey
) -> None:
    with stopped(redis_server):
        jobs = submit_quickly(longrun)
    longrun.all_reach(jobs, "SUCCESS")
    check(longrun, jobs)


def test_a_post_is_accepted_while_redis_is_frozen_and_its_job_runs_soon_after_its_return(
    longrun: Harness, redis_server: EmbeddedValkey
) -> None:
    with frozen(redis_server):
        jobs = submit_quickly(longrun)
    longrun.all_reach(jobs, "SUCCESS")
    check(longrun, jobs)


def test_a_flushed_redis_loses_none_of_200_queued_jobs_and_all_children_are_used_again(
    longrun: Harness, redis_server: EmbeddedValkey
) -> None:
    busy = [longrun.tick(2) for _ in range(2 * FLEET_CHILDREN)]
    for job_id in busy:
        longrun.runs(job_id)
    queued = [longrun.submit(input={"n": n}) for n in range(200)]
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    longrun.all_reach(busy + queued, "SUCCESS")
    assert_all_children_work(longrun)
    check(longrun, busy + queued)


def test_runs_beside_each_other_survive_a_restart_of_redis_and_their_full_child_claims_again(
    apart: Harness, redis_server: EmbeddedValkey
) -> None:
    apart.worker(concurrency=1, LONGRUN_JOBS_PER_CHILD="6")
    endless = {"seconds": 600, "folder": str(apart.folder)}
    jobs = [apart.submit(task_type, endless) for task_type in 3 * ("test_tick_async", "test_tick_thread")]
    for job_id in jobs:
        apart.runs(job_id)
    waiting = [apart.submit("test_tick_async", {**endless, "seconds": 0}) for _ in range(6)]
    with stopped(redis_server):
        counts = {job_id: len(apart.ticks(job_id)) for job_id in jobs}
        until(lambda: all(len(apart.ticks(job_id)) > count for job_id, count in counts.items()), what="all go on")
    apart.api.delete(f"/tasks/{jobs[0]}")
    apart.all_reach(waiting, "SUCCESS")
    assert {apart.job(job_id)["fence"] for job_id in jobs} == {1}
    for job_id in jobs[1:]:
        apart.api.delete(f"/tasks/{job_id}")
    for job_id in jobs:
        apart.stopped(job_id)
    check(apart, [*jobs, *waiting])


def test_after_a_restart_of_redis_under_long_jobs_as_many_new_ones_start_at_once(
    longrun: Harness, redis_server: EmbeddedValkey
) -> None:
    long_jobs = [longrun.tick(3) for _ in range(2 * FLEET_CHILDREN)]
    for job_id in long_jobs:
        longrun.runs(job_id)
    with stopped(redis_server):
        pass
    longrun.all_reach(long_jobs, "SUCCESS")
    assert {longrun.job(job_id)["fence"] for job_id in long_jobs} == {1}
    assert_all_children_work(longrun)
    check(longrun, long_jobs)


def test_a_hundred_wake_ups_too_many_claim_each_job_once(longrun: Harness, redis_server: EmbeddedValkey) -> None:
    busy = [longrun.tick(1.5) for _ in range(2 * FLEET_CHILDREN)]
    for job_id in busy:
        longrun.runs(job_id)
    with redis.Redis.from_url(redis_server.url) as client:
        longrun.submit()
        wake_up = until(lambda: client.lindex(longrun.wake_ups, 0), what="a wake-up waits")
        client.lpush(longrun.wake_ups, *[wake_up] * 100)
        jobs = [longrun.submit("sleep", {"seconds": 0.05, "steps": 1}) for _ in range(40)]
        longrun.all_reach(jobs + busy, "SUCCESS")
        until(lambda: client.llen(longrun.wake_ups) == 0, what="the wake-ups are used up")
    assert {longrun.job(job_id)["attempt"] for job_id in jobs} == {1}
    check(longrun, jobs + busy)


def test_garbage_in_the_list_of_a_queue_loses_no_job(longrun: Harness, redis_server: EmbeddedValkey) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        client.lpush(longrun.wake_ups, "this is not a message", b"\xff\x00", "{}", '{"body": 1}')
    jobs = [longrun.submit(input={"n": n}) for n in range(20)]
    longrun.all_reach(jobs, "SUCCESS")
    assert [worker.popen.poll() for worker in longrun.workers] == [None, None]
    assert_all_children_work(longrun)
    check(longrun, jobs)


def test_a_worker_started_while_redis_is_stopped_works_once_it_is_back(
    apart: Harness, redis_server: EmbeddedValkey
) -> None:
    with stopped(redis_server):
        apart.worker()
        job_id = apart.submit()
        assert apart.api.get(f"/tasks/{job_id}").status_code == httpx.codes.OK
    apart.reaches(job_id, "SUCCESS")
    check(apart, [job_id])
