"""What nobody else will set right: wake-ups that were never sent, claims that nobody runs, time that has come."""

from __future__ import annotations

import time

import httpx
import pytest

from tests.fault.conftest import FLEET_CHILDREN
from tests.harness import Harness, environment
from tests.invariants import check
from tests.waiting import until

pytestmark = pytest.mark.fault

SOON_S = 5.0
"""On a busy machine; on another one it is 1.5."""


def test_a_job_whose_api_died_before_its_wake_up_runs_within_seconds(longrun: Harness) -> None:
    """Its row is all that such an API leaves behind, so the test writes just that."""
    template = longrun.submit()
    longrun.reaches(template, "SUCCESS")
    orphan = "00000000-0000-7000-8000-0000000000a1"
    longrun.sql(
        """
        WITH orphan AS (
            INSERT INTO jobs (id, task_type, queue, priority, rank, status, ready, run_at, input, max_attempts)
            SELECT %s, task_type, queue, 0, now(), 'PENDING', true, now(), '{}', 3 FROM jobs WHERE id = %s
            RETURNING id, created_at
        )
        INSERT INTO job_events (job_id, seq, at, attempt, kind, data)
        SELECT id, 1, created_at, 0, 'state', '{"status": "PENDING"}' FROM orphan
        """,
        orphan,
        template,
    )
    longrun.reaches(orphan, "SUCCESS")
    check(longrun, [orphan])


def test_jobs_of_a_killed_api_run_and_the_next_keeper_takes_over(longrun: Harness) -> None:
    doomed = longrun.stack.api(env=environment(longrun.stack.folder))
    with httpx.Client(base_url=doomed.url, timeout=30) as client:
        answers = [client.post("/tasks", json={"task_type": "echo", "input": {}, "queue": longrun.queue}) for _ in "ab"]
        delayed = client.post("/tasks", json={"task_type": "echo", "input": {}, "queue": longrun.queue, "delay_s": 1})
        doomed.kill()
    jobs = [answer.json()["task_id"] for answer in (*answers, delayed)]
    longrun.all_reach(jobs, "SUCCESS")
    check(longrun, jobs)


def test_a_claim_that_nobody_runs_is_handed_back_at_the_next_heartbeat(longrun: Harness) -> None:
    worker_id = longrun.worker_id(longrun.workers[0])
    job_id = longrun.submit(delay_s=600)
    longrun.sql(
        """
        WITH claimed AS (
            UPDATE jobs SET status = 'RUNNING', ready = false, fence = fence + 1, attempt = attempt + 1,
                   worker_id = %s, slot = 0, started_at = now(), last_seq = last_seq + 1
            WHERE id = %s RETURNING id, last_seq
        )
        INSERT INTO job_events (job_id, seq, at, attempt, kind, data)
        SELECT id, last_seq, now(), 1, 'state', '{"status": "RUNNING"}' FROM claimed
        """,
        worker_id,
        job_id,
    )
    job = longrun.reaches(job_id, "SUCCESS")
    assert (job["fence"], job["attempt"], job["crashes"], job["losses"]) == (2, 1, 0, 0)
    check(longrun, [job_id])


def test_a_delayed_job_starts_soon_after_its_time_and_never_before(longrun: Harness) -> None:
    jobs = [longrun.submit(delay_s=delay) for delay in (0.5, 1.0, 1.5)]
    longrun.all_reach(jobs, "SUCCESS")
    late = [longrun.job(job_id)["started_at"] - longrun.job(job_id)["run_at"] for job_id in jobs]
    assert all(0 <= each.total_seconds() < SOON_S for each in late), late
    check(longrun, jobs)


def test_an_expired_job_fails_and_never_runs(longrun: Harness) -> None:
    busy = [longrun.tick(60) for _ in range(2 * FLEET_CHILDREN)]
    for job_id in busy:
        longrun.runs(job_id)
    expires_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 4))
    expired = longrun.tick(1, expires_at=expires_at)
    assert longrun.reaches(expired, "FAILED")["error"]["kind"] == "expired"
    for job_id in busy:
        longrun.api.delete(f"/tasks/{job_id}")
    for job_id in busy:
        longrun.stopped(job_id)
    assert longrun.ticks(expired) == []
    check(longrun, [*busy, expired])


def test_a_slow_job_in_a_batch_of_quick_ones_holds_up_none_of_them(longrun: Harness) -> None:
    """Children learn that `test_polite` is quick, claim several at once, and then meet one that is not."""
    folder = {"folder": str(longrun.folder)}
    warm_up = [longrun.submit("test_polite", {"seconds": 0, **folder}) for _ in range(200)]
    longrun.all_reach(warm_up, "SUCCESS")
    busy = [longrun.tick(1) for _ in range(2 * FLEET_CHILDREN)]
    for job_id in busy:
        longrun.runs(job_id)
    quick = [longrun.submit("test_polite", {"seconds": 0, **folder}) for _ in range(40)]
    slow = longrun.submit("test_polite", {"seconds": 600, **folder})
    quick += [longrun.submit("test_polite", {"seconds": 0, **folder}) for _ in range(40)]
    longrun.reaches(slow, "RUNNING")
    longrun.all_reach(quick, "SUCCESS")
    assert longrun.job(slow)["status"] == "RUNNING", "they ended long before it did"
    longrun.all_reach(busy, "SUCCESS")
    longrun.api.delete(f"/tasks/{slow}")
    longrun.stopped(slow)
    check(longrun, [*warm_up, *busy, *quick, slow])


def test_retries_wait_their_backoff_and_count_every_try(longrun: Harness) -> None:
    good, bad = longrun.submit("test_flaky", {"failures": 2}), longrun.submit("test_flaky", {"failures": 3})
    assert longrun.reaches(good, "SUCCESS")["attempt"] == 3
    job = longrun.reaches(bad, "FAILED")
    assert (job["attempt"], job["error"]["kind"], job["error"]["message"]) == (3, "raised", "failure 3")
    until(lambda: len(longrun.events(bad)) == job["last_seq"], what="the story is whole")
    check(longrun, [good, bad])
