"""The network between a worker and PostgreSQL breaks: nobody runs past the lease, and no claim is left to nobody."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.fault.link import Link
from tests.fault.test_worker_dies import assert_all_children_work
from tests.harness import LEASE_S, NOTICED_S, Harness, children, gone
from tests.invariants import check
from tests.waiting import until

pytestmark = pytest.mark.fault


@pytest.fixture
def link(apart: Harness) -> Iterator[Link]:
    """A link to PostgreSQL."""
    with Link(apart.stack.database_url) as link:
        yield link


def test_a_worker_that_is_parted_from_postgres_stops_its_job_by_the_leases_end_and_it_runs_elsewhere(
    apart: Harness, link: Link
) -> None:
    parted = apart.worker("parted", DATABASE_URL=link.url)
    job_id = apart.tick(600)
    tick = apart.runs(job_id)
    first_id = apart.worker_id(parted)
    apart.worker("heir")
    with link.held():
        parted_at = time.monotonic()
        until(lambda: gone(tick.pid), LEASE_S + 1, "the child is killed by the lease's end")
        assert apart.ticks(job_id)[-1].at - parted_at < LEASE_S
        until(lambda: apart.job(job_id)["fence"] == 2, NOTICED_S, "the job is claimed by the heir")
    until(lambda: apart.worker_id(parted) not in (None, first_id), NOTICED_S, "the worker registers anew")
    assert apart.runs(job_id, fence=2)
    assert apart.job(job_id)["losses"] == 1
    apart.api.delete(f"/tasks/{job_id}")
    apart.stopped(job_id)
    assert_all_children_work(apart)
    check(apart, [job_id])


def at_rest(longrun: Harness) -> bool:
    """True while no child of the queue's only worker looks for jobs: it does so every few ms until it finds none."""
    [row] = longrun.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'longrun_worker-%%' "
        "AND datname = current_database() AND state_change > now() - interval '0.2 s'"
    )
    return bool(row["count"] == 0)


def test_a_claim_whose_reply_never_reaches_its_child_is_handed_back(apart: Harness, link: Link) -> None:
    worker = apart.worker("unlucky", concurrency=1, DATABASE_URL=link.url)
    for _ in range(10):  # until each of its connections has claimed, and so has the statement prepared
        apart.reaches(apart.submit(), "SUCCESS")
    [child] = children(worker)
    until(lambda: at_rest(apart), what="the child waits for a wake-up")
    with link.held(replies_only=True):
        job_id = apart.tick(0.1)
        until(lambda: apart.job(job_id)["status"] == "RUNNING", what="the claim is committed")
        assert apart.ticks(job_id) == []
        child.kill()
        child.wait()
    job = apart.reaches(job_id, "SUCCESS", NOTICED_S)
    assert (job["attempt"], job["crashes"], job["losses"]) == (1, 0, 0)
    check(apart, [job_id])


def test_connections_to_postgres_that_are_reset_under_load_cost_no_job_and_no_second_run(
    apart: Harness, link: Link
) -> None:
    apart.worker("shaken", DATABASE_URL=link.url)
    jobs: list[str] = []
    for _ in range(10):
        jobs += [apart.submit("sleep", {"seconds": 0.02, "steps": 1}) for _ in range(10)]
        link.cut()
    ticking = apart.tick(2)
    apart.runs(ticking)
    link.cut()
    apart.all_reach([*jobs, ticking], "SUCCESS")
    assert apart.job(ticking)["fence"] == 1
    check(apart, [*jobs, ticking])
