"""Others use PostgreSQL too: backups, migrations, connections that are all taken. Claims and heartbeats go on."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest
from alembic import command

from jobcore.migrations import config
from longrun_local.postgres import EmbeddedPostgres
from tests.conftest import database
from tests.harness import ROOT, Harness, environment
from tests.invariants import check
from tests.processes import Stack
from tests.waiting import until

pytestmark = pytest.mark.fault

JOBS = 3000
FEW_PAGES = 200
NEXT_VERSION = ROOT / "tests" / "e2e" / "next" / "9001_e2e_next.py"
END_LONGRUN = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'longrun%'"
HEAD = """
EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)
SELECT id FROM jobs WHERE queue = %s AND status = 'PENDING' AND ready
    AND rank >= (SELECT low_rank FROM queues WHERE name = %s) ORDER BY rank, id LIMIT 1
"""


@pytest.fixture
def own(postgres: EmbeddedPostgres, migrated_template: str, redis_url: str, tmp_path: Path) -> Iterator[Harness]:
    """Longrun on a database of its own."""
    with database(postgres, migrated_template) as url, Stack(url, redis_url, tmp_path) as stack:
        api = stack.api(env=environment(tmp_path))
        with httpx.Client(base_url=api.url, timeout=30) as client:
            yield Harness(stack, client, "own", tmp_path)


@contextmanager
def transaction(url: str, *statements: str) -> Iterator[Any]:
    """A transaction that stays open as long as the block."""
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            yield cursor
    finally:
        connection.close()


def pages_to_find_the_head(longrun: Harness) -> int:
    """How many pages PostgreSQL looks at to find a queue's next job."""
    [row] = longrun.sql(HEAD, longrun.queue, longrun.queue)
    plan = row["QUERY PLAN"][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@pytest.mark.thorough
def test_claims_stay_cheap_while_a_backup_holds_its_snapshot_and_many_jobs_pass(own: Harness) -> None:
    own.worker(concurrency=2)
    snapshot = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM jobs")
    with transaction(own.stack.database_url, *snapshot), ThreadPoolExecutor(8) as clients:
        jobs = list(clients.map(lambda n: own.submit(input={"n": n}, priority=1), range(JOBS)))
        own.all_reach(jobs, "SUCCESS")
        # no vacuum can remove what those jobs left at the head of the queue; the low-water rank follows half a minute
        # behind, and their priority made them a minute old
        until(lambda: pages_to_find_the_head(own) < FEW_PAGES, what="the head of the queue is found at once")
        later = [own.submit() for _ in range(20)]
        own.all_reach(later, "SUCCESS")
    check(own, [*jobs, *later])


def test_a_migration_that_waits_behind_a_backup_stops_neither_claims_nor_heartbeats(own: Harness) -> None:
    worker = own.worker(concurrency=2)
    worker_id = own.worker_id(worker)
    url = own.stack.database_url
    migrations = config(url)
    versions = own.folder / "versions"
    shutil.copytree(Path(migrations.get_main_option("script_location") or "") / "versions", versions)
    shutil.copy(NEXT_VERSION, versions)
    migrations.set_main_option("path_separator", "newline")
    migrations.set_main_option("version_locations", str(versions))
    migration = threading.Thread(target=command.upgrade, args=(migrations, "head"))
    waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'jobs'::regclass AND mode = 'AccessExclusiveLock'"
    added = "SELECT 1 FROM information_schema.columns WHERE table_name = 'jobs' AND column_name = 'e2e_next'"
    long = own.tick(6)
    own.runs(long)
    with transaction(url, "LOCK TABLE jobs IN ACCESS SHARE MODE"):
        migration.start()
        for _ in range(2):
            until(lambda: own.sql(waits), what="the migration waits for its lock")
            own.all_reach(during := [own.submit() for _ in range(5)], "SUCCESS")
            until(lambda: not own.sql(waits), what="it lets go in between")
        assert migration.is_alive()
    migration.join()
    assert own.sql(added)
    after = [own.submit() for _ in range(5)]
    own.all_reach([long, *after], "SUCCESS")
    assert own.job(long)["fence"] == 1
    assert own.worker_id(worker) == worker_id
    check(own, [long, *during, *after])


def test_jobs_survive_a_time_without_a_free_connection(longrun: Harness, postgres: EmbeddedPostgres) -> None:
    taken: list[Any] = []

    def take_all() -> None:
        with suppress(psycopg2.OperationalError):
            while True:
                taken.append(psycopg2.connect(postgres.url))

    def all_are_taken() -> bool:
        """Longrun had no connection any more. Does not wait for what it ends: Longrun connects again meanwhile."""
        with taken[0].cursor() as cursor:
            cursor.execute(END_LONGRUN)
            ended = len(cursor.fetchall())
        take_all()
        return not ended

    jobs = [longrun.tick(1) for _ in range(6)]
    try:
        take_all()
        assert taken, "there was no free connection"
        taken[0].autocommit = True  # else each look at the sessions sees what the first one saw
        until(all_are_taken, what="Longrun has no connection")
        answers = [longrun.post() for _ in range(3)]
    finally:
        for connection in taken:
            connection.close()
    accepted = [answer for answer in answers if answer.status_code == httpx.codes.ACCEPTED]
    refused = [answer for answer in answers if answer not in accepted]
    assert all(answer.status_code == httpx.codes.SERVICE_UNAVAILABLE for answer in refused), refused
    jobs += [answer.json()["task_id"] for answer in accepted]
    jobs += [until(lambda: _accepted(longrun), what="a job is accepted again")]
    longrun.all_reach(jobs, "SUCCESS")
    check(longrun, jobs)


def _accepted(longrun: Harness) -> str | None:
    answer = longrun.post()
    return str(answer.json()["task_id"]) if answer.status_code == httpx.codes.ACCEPTED else None
