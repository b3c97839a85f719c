"""Two keepers at once: the second takes over from a frozen first, and when that one thaws nothing happens twice."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from longrun_local.postgres import EmbeddedPostgres
from tests.conftest import database
from tests.harness import Harness, environment
from tests.invariants import check
from tests.processes import Stack
from tests.waiting import until

pytestmark = pytest.mark.fault

NEVER_S = "3600"


@pytest.fixture
def unkept(postgres: EmbeddedPostgres, migrated_template: str, redis_url: str, tmp_path: Path) -> Iterator[Harness]:
    """Longrun on a database of its own, where neither API nor supervisor looks after anything."""
    with database(postgres, migrated_template) as url, Stack(url, redis_url, tmp_path) as stack:
        api = stack.api(env={**environment(tmp_path), "LONGRUN_KEEPER_S": NEVER_S})
        with httpx.Client(base_url=api.url, timeout=30) as client:
            harness = Harness(stack, client, "unkept", tmp_path)
            harness.worker(LONGRUN_KEEPER_S=NEVER_S)
            yield harness


def holder(longrun: Harness) -> str | None:
    rows = longrun.sql("SELECT holder FROM keeper_lease WHERE expires_at > now()")
    return str(rows[0]["holder"]) if rows else None


@pytest.mark.timeout(300)
def test_a_second_keeper_takes_over_from_a_frozen_one_and_two_do_nothing_twice(unkept: Harness) -> None:
    first = unkept.stack.keeper(environment(unkept.folder))
    first_id = until(lambda: holder(unkept), what="the first keeper leads")
    second = unkept.stack.keeper(environment(unkept.folder))
    jobs = [unkept.submit("test_flaky", {"failures": 2}) for _ in range(10)]
    unkept.all_reach(jobs, "SUCCESS")
    assert holder(unkept) == first_id
    first.send(signal.SIGSTOP)
    jobs += [unkept.submit("test_flaky", {"failures": 2}, delay_s=delay / 10) for delay in range(10)]
    unkept.all_reach(jobs, "SUCCESS")
    assert holder(unkept) != first_id
    first.send(signal.SIGCONT)
    jobs += [unkept.submit("test_flaky", {"failures": 2}, delay_s=delay / 10) for delay in range(10)]
    unkept.all_reach(jobs, "SUCCESS")
    assert {unkept.job(job_id)["fence"] for job_id in jobs} == {3}
    for keeper in (first, second):
        keeper.terminate()
        assert keeper.wait() == 0
    check(unkept, jobs)
