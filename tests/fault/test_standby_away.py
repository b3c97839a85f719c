"""A synchronous standby is away: nothing is answered 202 that it does not have, and no running job dies of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from jobcore.admission.intake import Intake
from jobcore.errors import StoreUnavailable
from jobcore.migrations import upgrade
from jobcore.models import Accepted, KnownJob
from jobcore.store.database import Database
from longrun_local.postgres import EmbeddedPostgres
from tests.fault.standby import Standby, wait_for_commit, waiting
from tests.harness import LEASE_S, Harness, environment, sql
from tests.integration.store.world import World
from tests.invariants import check
from tests.processes import Stack
from tests.thorough import cases
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.fault


@pytest.fixture(scope="module")
def primary(server_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL of this module's own, with the schema."""
    with EmbeddedPostgres(server_folder / "primary", settings={"max_connections": "100"}) as server:
        upgrade(server.url)
        yield server


@pytest.fixture(scope="module")
def standby(primary: EmbeddedPostgres, server_folder: Path) -> Iterator[Standby]:
    """Its synchronous standby."""
    with Standby(primary, server_folder / "standby") as standby:
        yield standby


class Submission:
    """One submission to an intake, under way in a thread."""

    def __init__(self, world: World, url: str, timeout_s: float = 3.0) -> None:
        self.answer: Accepted | KnownJob | BaseException | None = None
        self._db = Database(url, name="intake-under-test", pool_size=1, timeout_s=timeout_s)
        self._intake = Intake(self._db, lambda _accepted: None)
        self._intake.start()
        self.job = world.new()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> Accepted | KnownJob | BaseException | None:
        """Wait for the answer."""
        self._thread.join()
        self._intake.stop()
        self._db.close()
        return self.answer

    def _run(self) -> None:
        async def submit() -> Accepted | KnownJob:
            return await asyncio.wait_for(self._intake.submit(self.job), PATIENCE_S)

        try:
            self.answer = asyncio.run(submit())
        except BaseException as error:
            self.answer = error


@pytest.mark.parametrize("end", cases(["pg_terminate_backend", "pg_cancel_backend"]))
def test_what_the_standby_does_not_have_is_not_accepted_though_it_can_be_seen(
    primary: EmbeddedPostgres, standby: Standby, end: str
) -> None:
    with World(primary.url) as world:
        with standby.away():
            submission = Submission(world, primary.url)
            pid = wait_for_commit(primary.url)
            sql(primary.url, f"SELECT {end}(%s)", pid)
            answer = submission.end()
            assert sql(primary.url, "SELECT 1 FROM jobs WHERE id = %s", str(submission.job.id)), "committed here only"
            assert isinstance(answer, StoreUnavailable)
        with_standby = Submission(world, primary.url).end()
        assert isinstance(with_standby, Accepted)


def test_commits_that_wait_for_a_standby_do_not_pile_up(primary: EmbeddedPostgres, standby: Standby) -> None:
    with World(primary.url) as world, standby.away():
        for _ in range(4):
            assert isinstance(Submission(world, primary.url, timeout_s=1.0).end(), StoreUnavailable)
        db = Database(primary.url, name="one-of-many", pool_size=1, timeout_s=1.0)
        before = len(waiting(primary.url))
        for _ in range(5):
            with pytest.raises(StoreUnavailable):
                db.call(insert, world)
        assert len(waiting(primary.url)) <= before + 1
        db.close()


def insert(connection: object, world: World) -> None:
    from jobcore.store import jobs

    jobs.insert(connection, [world.new()])  # type: ignore[arg-type]


@pytest.mark.thorough
def test_a_running_job_outlives_a_standby_that_is_away_for_longer_than_the_lease(
    primary: EmbeddedPostgres, standby: Standby, redis_url: str, tmp_path: Path
) -> None:
    with Stack(primary.url, redis_url, tmp_path) as stack:
        api = stack.api(env=environment(tmp_path))
        with httpx.Client(base_url=api.url, timeout=30) as client:
            longrun = Harness(stack, client, "own", tmp_path)
            worker = longrun.worker(concurrency=1)
            worker_id = until(lambda: longrun.worker_id(worker), what="the worker is there")
            job_id = longrun.tick(LEASE_S + 6)
            longrun.runs(job_id)
            with standby.away():
                time.sleep(LEASE_S + 4)  # the fault itself
                assert longrun.post().status_code == httpx.codes.SERVICE_UNAVAILABLE
                assert client.get("/readyz").status_code == httpx.codes.SERVICE_UNAVAILABLE
            job = longrun.reaches(job_id, "SUCCESS")
            assert (job["fence"], longrun.worker_id(worker)) == (1, worker_id)
            later = longrun.submit()
            longrun.reaches(later, "SUCCESS")
            check(longrun, [job_id, later])
