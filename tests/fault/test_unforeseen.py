"""Errors that nobody foresaw: a worker bears them for a while, and loses no job and no run to them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.fault.renamed import renamed
from tests.harness import HEARTBEAT_S, LEASE_S, Harness
from tests.invariants import check
from tests.processes import READY_S
from tests.thorough import cases
from tests.waiting import until

pytestmark = pytest.mark.fault

AWAY_S = 2 * HEARTBEAT_S
REFUSE = """
CREATE FUNCTION refuse_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'nobody foresaw this'; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({rows}) EXECUTE FUNCTION refuse_row()
"""


@contextmanager
def refused(longrun: Harness, table: str, rows: str) -> Iterator[None]:
    """PostgreSQL answers every UPDATE of these rows with an error that no code knows."""
    longrun.sql(REFUSE.format(table=table, rows=rows))
    try:
        yield
    finally:
        longrun.sql("DROP FUNCTION refuse_row CASCADE")


@pytest.mark.parametrize("table", cases(["jobs", "workers"]))
@pytest.mark.parametrize("fault", cases(["renamed", "refused"]))
def test_a_table_that_fails_for_a_moment_ends_no_worker_and_no_run(apart: Harness, fault: str, table: str) -> None:
    worker = apart.worker(concurrency=2)
    outlasting, ending = apart.tick(LEASE_S), apart.tick(AWAY_S / 2)
    for job_id in (outlasting, ending):
        apart.runs(job_id)
    with renamed(apart, table) if fault == "renamed" else refused(apart, table, "true"):
        time.sleep(AWAY_S)  # the fault itself
    after = [apart.submit() for _ in range(3)]
    apart.all_reach([outlasting, ending, *after], "SUCCESS")
    assert worker.popen.poll() is None
    assert (apart.job(outlasting)["fence"], apart.job(ending)["fence"]) == (1, 1)
    check(apart, [outlasting, ending, *after])


def test_a_worker_whose_supervision_fails_for_longer_than_a_lease_ends(apart: Harness) -> None:
    worker = apart.worker(concurrency=1)
    with refused(apart, "workers", f"OLD.pid = {worker.pid}"):
        assert worker.wait(READY_S) != 0
        until(lambda: not worker.pids, what="nothing is left of it")
    assert "nobody foresaw this" in worker.log()
