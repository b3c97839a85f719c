"""Errors that nobody foresaw: a worker bears them for a while, and loses no job and no run to them."""

from __future__ import annotations

import time

import pytest

from tests.harness import HEARTBEAT_S, LEASE_S, Harness, until
from tests.invariants import check

pytestmark = pytest.mark.fault

AWAY_S = 2 * HEARTBEAT_S


@pytest.mark.parametrize("table", ["jobs", "workers", "queues", "job_events"])
def test_a_table_that_is_away_for_a_moment_ends_no_worker_and_no_run(apart: Harness, table: str) -> None:
    worker = apart.worker(concurrency=2)
    outlasting, ending = apart.tick(LEASE_S), apart.tick(AWAY_S / 2)
    for job_id in (outlasting, ending):
        apart.runs(job_id)
    apart.sql(f"ALTER TABLE {table} RENAME TO elsewhere")
    time.sleep(AWAY_S)  # the fault itself
    apart.sql(f"ALTER TABLE elsewhere RENAME TO {table}")
    after = [apart.submit() for _ in range(3)]
    apart.all_reach([outlasting, ending, *after], "SUCCESS")
    assert worker.popen.poll() is None
    assert (apart.job(outlasting)["fence"], apart.job(ending)["fence"]) == (1, 1)
    check(apart, [outlasting, ending, *after])


def test_a_worker_whose_supervision_fails_for_longer_than_a_lease_ends(apart: Harness) -> None:
    worker = apart.worker(concurrency=1)
    apart.sql("ALTER TABLE workers RENAME COLUMN beat TO elsewhere")
    try:
        assert worker.wait(6 * LEASE_S) != 0
        until(lambda: not worker.pids, 5, "nothing is left of it")
    finally:
        apart.sql("ALTER TABLE workers RENAME COLUMN elsewhere TO beat")
