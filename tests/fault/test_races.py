"""Cancels and timeouts against jobs that end at that very moment, by the thousand: one end each, and nobody else's."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.harness import Harness
from tests.invariants import check
from tests.waiting import until

pytestmark = pytest.mark.fault

RACES = 1000


def all_ended(longrun: Harness, jobs: list[str]) -> None:
    """Wait until each job has ended and each cancelled one has stopped."""

    def open_ones() -> int:
        rows = longrun.sql(
            "SELECT count(*) FROM jobs WHERE id = ANY(%s::uuid[]) AND (status IN ('PENDING', 'RUNNING') "
            "OR (status = 'CANCELLED' AND cancel_stopped_at IS NULL))",
            jobs,
        )
        return int(rows[0]["count"])

    until(lambda: open_ones() == 0, what="every job has ended")


def statuses(longrun: Harness, jobs: list[str]) -> Counter[str]:
    rows = longrun.sql("SELECT status FROM jobs WHERE id = ANY(%s::uuid[])", jobs)
    return Counter(row["status"] for row in rows)


def test_a_thousand_cancels_against_a_thousand_finishes_end_each_job_once(longrun: Harness) -> None:
    pause = 0.02

    def race(_number: int) -> tuple[str, int]:
        nonlocal pause
        job_id = longrun.submit("sleep", {"seconds": 0.01, "steps": 1})
        time.sleep(random.uniform(0, 2 * pause))  # what is under test is any moment around the end
        code = longrun.api.delete(f"/tasks/{job_id}").status_code
        pause *= 0.95 if code == httpx.codes.CONFLICT else 1.05  # whichever side lost gets more time
        return job_id, code

    with ThreadPoolExecutor(4) as racers:
        answers = dict(racers.map(race, range(RACES)))
    jobs = list(answers)
    all_ended(longrun, jobs)
    told = Counter("SUCCESS" if code == httpx.codes.CONFLICT else "CANCELLED" for code in answers.values())
    assert set(answers.values()) <= {httpx.codes.OK, httpx.codes.ACCEPTED, httpx.codes.CONFLICT}
    assert statuses(longrun, jobs) == told
    assert min(told["SUCCESS"], told["CANCELLED"]) > RACES / 50, "the race was never close"
    check(longrun, jobs)


def test_a_bulk_cancel_against_jobs_that_finish_in_batches_is_answered_each_time(longrun: Harness) -> None:
    """Both lock many rows; neither side may see a deadlock."""
    with ThreadPoolExecutor(8) as clients:
        jobs = list(clients.map(lambda n: longrun.submit(input={"n": n}, delay_s=600), range(RACES)))
        longrun.sql(
            "UPDATE jobs SET ready = true, rank = now(), run_at = now() WHERE status = 'PENDING' "
            "AND id = ANY(%s::uuid[])",
            jobs,
        )
        until(lambda: statuses(longrun, jobs)["SUCCESS"], what="the first has finished")
        # from the other end than the workers
        cancels = clients.map(lambda job_id: longrun.api.delete(f"/tasks/{job_id}").status_code, reversed(jobs))
        codes = Counter(cancels)
    assert set(codes) <= {httpx.codes.OK, httpx.codes.ACCEPTED, httpx.codes.CONFLICT}, codes
    all_ended(longrun, jobs)
    assert statuses(longrun, jobs)["SUCCESS"] == codes[httpx.codes.CONFLICT]
    assert len(statuses(longrun, jobs)) == 2, "the race was never close"
    check(longrun, jobs)


def test_a_timeout_as_a_job_ends_never_hits_the_next_job_of_its_child(apart: Harness) -> None:
    apart.worker(concurrency=4, LONGRUN_CANCEL_KILL_S="0.3")

    def race(number: int) -> tuple[str, str]:
        seconds = random.uniform(0.2, 0.5)
        job_id = apart.submit(
            "test_tick" if number % 2 else "test_stubborn",
            {"seconds": seconds, "folder": str(apart.folder)},
            timeout_s=seconds + random.uniform(-0.15, 0.15 if number % 4 < 2 else 1.5),
        )
        return job_id, apart.submit("sleep", {"seconds": 0.05, "steps": 1})

    with ThreadPoolExecutor(4) as racers:
        jobs, successors = zip(*racers.map(race, range(60)), strict=True)
    apart.all_reach(successors, "SUCCESS")
    all_ended(apart, list(jobs))
    assert len(statuses(apart, list(jobs))) == 2, "the race was never close"
    assert {apart.job(job_id)["fence"] for job_id in successors} == {1}
    check(apart, [*jobs, *successors])
