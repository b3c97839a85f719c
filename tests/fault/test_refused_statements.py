"""Statements fail for a while by errors that are no outage: no thread ends, nothing is lost, all works afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.chaos.schema_faults import ACCEPT, REFUSE, TABLES
from tests.fault.renamed import renamed
from tests.harness import Harness
from tests.invariants import check
from tests.waiting import until

pytestmark = pytest.mark.fault

WHILE_S = 2.0
SECRET = "what-the-client-gave"


@contextmanager
def refused(longrun: Harness, table: str) -> Iterator[None]:
    longrun.sql(REFUSE.format(table=table))
    try:
        yield
    finally:
        longrun.sql(ACCEPT)


def test_a_table_that_was_renamed_for_two_seconds_costs_no_thread_and_no_job(own: Harness) -> None:
    worker = own.worker(concurrency=1)
    worker_id = own.worker_id(worker)
    jobs = []
    for table in TABLES:
        with renamed(own, table):
            end = time.monotonic() + WHILE_S
            while time.monotonic() < end:
                answer = own.post(input={"text": SECRET})
                assert answer.status_code in (httpx.codes.ACCEPTED, httpx.codes.SERVICE_UNAVAILABLE), answer.text
                if answer.status_code == httpx.codes.ACCEPTED:
                    jobs.append(answer.json()["task_id"])
        until(lambda: own.api.get("/readyz").status_code == httpx.codes.OK, what=f"ready after {table}")
        jobs.append(own.submit())
        own.all_reach(jobs, "SUCCESS")
    assert own.worker_id(worker) == worker_id
    assert not any(SECRET in process.log() for process in own.stack.processes)
    check(own, jobs)


@pytest.mark.thorough
def test_a_heartbeat_that_is_refused_for_a_while_costs_no_run(own: Harness) -> None:
    worker = own.worker(concurrency=1)
    worker_id = own.worker_id(worker)
    job_id = own.tick(2 * WHILE_S)
    own.runs(job_id)
    with refused(own, "workers"):
        until(lambda: "unexpected error; retrying" in worker.log(), what="a heartbeat was refused")
        time.sleep(WHILE_S)  # the fault itself
    assert own.reaches(job_id, "SUCCESS")["fence"] == 1
    assert own.worker_id(worker) == worker_id
    own.reaches(own.submit(), "SUCCESS")
    check(own, [job_id])
