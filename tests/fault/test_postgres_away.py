"""PostgreSQL crashes and comes back: what was answered 202 is there and ends, and everything else is told so."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from longrun_local.postgres import EmbeddedPostgres
from tests.fault.test_worker_dies import assert_all_children_work
from tests.harness import LEASE_S, Harness, gone
from tests.invariants import check
from tests.waiting import until

pytestmark = pytest.mark.fault

CLIENTS = 4


def test_a_crash_of_postgres_under_load_loses_nothing_that_was_accepted(
    longrun: Harness, postgres: EmbeddedPostgres
) -> None:
    stop_at = time.monotonic() + 60
    accepted: list[str] = []
    refused: list[httpx.Response] = []

    def submit_until_refused_and_accepted_again(_client: int) -> None:
        while time.monotonic() < stop_at:
            answer = longrun.post("sleep", {"seconds": 0.01, "steps": 1})
            if answer.status_code == httpx.codes.ACCEPTED:
                accepted.append(answer.json()["task_id"])
                if len(refused) >= CLIENTS and len(accepted) >= mark[0] + 40:
                    return
            else:
                refused.append(answer)
                mark[0] = len(accepted)

    mark = [0]
    with ThreadPoolExecutor(CLIENTS) as clients:
        load = clients.map(submit_until_refused_and_accepted_again, range(CLIENTS))
        until(lambda: len(accepted) >= 100, what="100 jobs are accepted")
        postgres.stop(immediate=True)
        try:
            until(lambda: len(refused) >= CLIENTS, what="every client is refused")
        finally:
            postgres.start()
        list(load)
    for answer in refused:
        assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert int(answer.headers["retry-after"]) > 0
    longrun.all_reach(accepted, "SUCCESS")
    check(longrun, accepted)


def test_the_first_post_after_a_restart_of_postgres_is_accepted(longrun: Harness, postgres: EmbeddedPostgres) -> None:
    before = longrun.submit()
    longrun.reaches(before, "SUCCESS")
    postgres.stop()
    postgres.start()
    after = longrun.submit()
    longrun.reaches(after, "SUCCESS")
    check(longrun, [before, after])


def test_without_postgres_for_longer_than_the_lease_jobs_are_stopped_and_run_again_on_the_same_workers(
    longrun: Harness, postgres: EmbeddedPostgres
) -> None:
    jobs = [longrun.tick(LEASE_S + 3) for _ in range(2)]
    ticks = [longrun.runs(job_id) for job_id in jobs]
    ids = {longrun.worker_id(worker) for worker in longrun.workers}
    postgres.stop(immediate=True)
    try:
        stopped_at = time.monotonic()
        until(lambda: all(gone(tick.pid) for tick in ticks), LEASE_S + 2, "the jobs' processes are gone")
        assert max(longrun.ticks(job_id)[-1].at for job_id in jobs) - stopped_at < LEASE_S
    finally:
        postgres.start()
    longrun.all_reach(jobs, "SUCCESS")
    now = {longrun.worker_id(worker) for worker in longrun.workers}
    assert len(now - {None}) == 2
    assert not ids & now
    assert_all_children_work(longrun)
    check(longrun, jobs)
