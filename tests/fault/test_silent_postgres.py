"""PostgreSQL is connected and silent: no wait for it is without end, and whoever waits for another one goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psycopg2
import pytest

from tests.fault.link import Link
from tests.harness import LEASE_S, Harness, children
from tests.invariants import check
from tests.processes import Process
from tests.waiting import until

pytestmark = pytest.mark.fault

CALL_S = 10.0
"""How long a call of a worker's child may take."""
MARGIN_S = 30.0
GRACE_S = 30.0
"""How long Kubernetes waits for the API to end."""


@contextmanager
def frozen_backends(longrun: Harness, name: str) -> Iterator[list[int]]:
    """SIGSTOP of the backends of this application; they keep their connections and say nothing."""
    rows = longrun.sql(
        "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()", name
    )
    pids = [int(row["pid"]) for row in rows]
    assert pids, f"{name} is not connected"
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield pids
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def api_of(longrun: Harness) -> Process:
    return next(process for process in longrun.stack.processes if process.name == "api")


def test_a_post_is_accepted_again_on_another_connection_while_the_intakes_is_silent(own: Harness) -> None:
    before = own.submit()
    with frozen_backends(own, "longrun-intake"):
        refused = own.post()
        assert refused.status_code == httpx.codes.SERVICE_UNAVAILABLE
        until(lambda: own.post().status_code == httpx.codes.ACCEPTED, what="another connection takes it")
        assert own.api.get("/readyz").status_code == httpx.codes.OK
    own.worker()
    own.reaches(before, "SUCCESS")


def test_readiness_is_lost_with_the_intakes_connection_alone(own: Harness) -> None:
    with frozen_backends(own, "longrun-intake"):
        time.sleep(1.1)  # what was asked before counts for a second
        assert own.api.get("/readyz").status_code == httpx.codes.SERVICE_UNAVAILABLE


def test_reads_that_were_answered_503_leave_no_query_and_no_connection_behind(own: Harness) -> None:
    locked = "SELECT pid FROM pg_stat_activity WHERE application_name = 'longrun-api' AND wait_event_type = 'Lock'"
    job_id = own.submit()
    lock = psycopg2.connect(own.stack.database_url)
    try:
        lock.cursor().execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
        with httpx.Client(base_url=own.api.base_url, timeout=30) as other:
            assert other.get(f"/tasks/{job_id}").status_code == httpx.codes.SERVICE_UNAVAILABLE
        until(lambda: not own.sql(locked), what="its query is over")
    finally:
        lock.close()
    assert own.api.get(f"/tasks/{job_id}").status_code == httpx.codes.OK


def test_an_api_ends_in_its_grace_while_postgres_is_silent(own: Harness) -> None:
    api = api_of(own)
    until(lambda: own.sql("SELECT 1 FROM keeper_lease"), what="its keeper is connected")
    with frozen_backends(own, "longrun-intake"), frozen_backends(own, "longrun-keeper"):
        assert own.post().status_code == httpx.codes.SERVICE_UNAVAILABLE
        api.terminate()
        assert api.wait(GRACE_S) == 0


def test_a_child_whose_connections_pass_nothing_works_again_and_completes_a_cancel(
    apart: Harness,
) -> None:
    with Link(apart.stack.database_url) as link:
        worker = apart.worker("deafened", concurrency=1, DATABASE_URL=link.url)
        apart.reaches(apart.submit(), "SUCCESS")
        job_id = apart.tick(1, timeout_s=5)
        apart.runs(job_id)
        [child] = children(worker)
        with link.muted():  # what is connected now hears nothing any more, ever
            apart.api.delete(f"/tasks/{job_id}")
            assert apart.stopped(job_id, CALL_S + MARGIN_S)
            later = apart.submit()
            apart.reaches(later, "SUCCESS", 2 * CALL_S + MARGIN_S)
        assert child.is_running(), "the child itself recovered"
    check(apart, [job_id, later])


def test_a_silent_backend_of_the_supervisor_does_not_cost_the_worker_its_lease(own: Harness) -> None:
    worker = own.worker(concurrency=1)
    worker_id = own.worker_id(worker)
    job_id = own.tick(LEASE_S + 4)
    own.runs(job_id)
    with frozen_backends(own, "longrun-supervisor"):
        job = own.reaches(job_id, "SUCCESS", LEASE_S + 10)
    assert job["fence"] == 1
    assert own.worker_id(worker) == worker_id
    check(own, [job_id])


def test_a_cancel_whose_claim_was_lost_is_completed_on_an_idle_worker_and_the_next_of_its_key_runs(
    apart: Harness,
) -> None:
    worker = apart.worker("idle", concurrency=1)
    worker_id = until(lambda: apart.worker_id(worker), what="the worker is there")
    apart.reaches(apart.submit(), "SUCCESS")
    lost = apart.submit(delay_s=3600, concurrency_key="k-idle")
    # as a claim whose reply was lost leaves it, cancelled before the next comparison
    apart.sql(
        "UPDATE jobs SET status = 'CANCELLED', ready = false, gate = NULL, fence = 1, attempt = 1, worker_id = %s, "
        "slot = 0, started_at = now(), finished_at = now(), cancel_requested_at = now() WHERE id = %s",
        worker_id,
        lost,
    )
    waiting = apart.submit(concurrency_key="k-idle")
    assert apart.stopped(lost)["cancel_method"] == "finished"
    apart.reaches(waiting, "SUCCESS")
