"""A wake-up is lost on its way, or comes again: the job that it was for runs once all the same."""

from __future__ import annotations

import signal

import httpx
import pytest
import redis

from longrun_local import services
from longrun_local.valkey import EmbeddedValkey
from tests.harness import NOTICED_S, Harness, environment
from tests.invariants import check
from tests.processes import READY_S
from tests.waiting import until

pytestmark = pytest.mark.fault

NOWHERE = "redis://127.0.0.1:1/0"


def test_a_job_whose_api_dies_before_it_could_wake_anyone_runs_within_the_keepers_second(longrun: Harness) -> None:
    doomed = longrun.stack.api(env={**environment(longrun.stack.folder), "REDIS_URL": NOWHERE})
    with httpx.Client(base_url=doomed.url, timeout=30) as client:
        answer = client.post("/tasks", json={"task_type": "echo", "input": {}, "queue": longrun.queue})
        doomed.kill_group()
    assert answer.status_code == httpx.codes.ACCEPTED
    job = longrun.reaches(answer.json()["task_id"], "SUCCESS")
    check(longrun, [str(job["id"])])


def test_a_wake_up_that_dies_with_the_worker_that_took_it_delays_its_job_by_seconds(
    apart: Harness, redis_server: EmbeddedValkey
) -> None:
    """The window of BRPOP: the message is off the list and nowhere else yet."""
    doomed = apart.worker("doomed")
    apart.reaches(apart.submit(), "SUCCESS")
    with redis.Redis.from_url(redis_server.url) as client:

        def pushed() -> int:
            return int(client.info("commandstats")["cmdstat_lpush"]["calls"])

        until(lambda: client.llen(apart.wake_ups) == 0, what="the worker waits for a wake-up")
        doomed.send_group(signal.SIGSTOP)
        before = pushed()
        job_id = apart.submit()
        until(lambda: pushed() > before, what="its wake-up was sent")
        client.delete(apart.wake_ups)  # should the frozen worker not have waited for it just then
    doomed.kill_group()
    apart.worker("heir")
    assert apart.reaches(job_id, "SUCCESS", NOTICED_S)["fence"] == 1
    check(apart, [job_id])


def test_a_job_longer_than_the_visibility_timeout_runs_once_though_its_wake_up_is_delivered_again(
    apart: Harness, redis_server: EmbeddedValkey
) -> None:
    def start(name: str) -> None:
        process = apart.stack.start(
            name,
            services.worker("tests.fault.hasty", name),
            {**environment(apart.stack.folder), "LONGRUN_QUEUES": apart.queue, "LONGRUN_WORKER_CONCURRENCY": "1"},
        )
        until(lambda: apart.worker_id(process), READY_S, f"{name} has registered")

    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:

        def unacked() -> set[str]:
            return {str(tag) for tag, message in client.hgetall("longrun:unacked").items() if apart.queue in message}

        start("first")
        job_id = apart.submit("test_polite", {"seconds": 600, "folder": str(apart.folder)})
        first = apart.runs(job_id)
        [tag] = until(unacked, what="the wake-up is not acknowledged while its job runs")
        client.delete("longrun:unacked_mutex")  # a worker that another test killed may have left it, for five minutes
        start("second")  # and looks for what was not acknowledged in time
        until(lambda: tag not in unacked(), what="the second worker took the wake-up again, and acknowledged it")
        assert apart.job(job_id)["status"] == "RUNNING"
    apart.api.delete(f"/tasks/{job_id}")
    assert apart.stopped(job_id)["fence"] == 1
    assert {tick.pid for tick in apart.ticks(job_id)} == {first.pid}
    check(apart, [job_id])
