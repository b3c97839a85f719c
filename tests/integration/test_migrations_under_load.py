"""Migrations of tables that have rows: writers go on, and what was interrupted is started again."""

from __future__ import annotations

import threading
from contextlib import closing

import psycopg2
import pytest
from alembic import command
from alembic.script import ScriptDirectory

from jobcore.migrations import Schema, config, look, upgrade
from tests.integration.test_migrations import start_migrating
from tests.servers import execute
from tests.waiting import until

ROWS = """
INSERT INTO longrun.jobs (id, task_type, queue, rank, status, ready, run_at, input, max_attempts)
SELECT gen_random_uuid(), 'echo', 'default', now(), 'PENDING', true, now(), '{}', 3 FROM generate_series(1, 1000)
"""
WRITE = "UPDATE longrun.jobs SET last_seq = last_seq + 1 WHERE id = (SELECT min(id::text)::uuid FROM longrun.jobs)"
BUILDS = "SELECT relid FROM pg_stat_progress_create_index"
OTHERS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
INVALID = "SELECT relname FROM pg_index JOIN pg_class ON oid = indexrelid WHERE NOT indisvalid"
INDEX_STEPS = [
    ("0002", "jobs_due"),
    ("0004", "jobs_one_a_tick"),
    ("0010", "jobs_by_type"),
    ("0021", "jobs_ready_by_type"),
]
"""A revision, and the index that the next one builds first."""
SOON_S = 90.0
"""A migrator is a new process: on a busy machine it takes its time to start."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def filled_url(empty_url: str, request: pytest.FixtureRequest) -> str:
    """A database at an earlier revision, with rows in `jobs`."""
    execute(empty_url, "CREATE SCHEMA longrun")
    command.upgrade(config(empty_url), request.param)
    execute(empty_url, ROWS)
    return empty_url


@pytest.mark.parametrize("filled_url", [revision for revision, _ in INDEX_STEPS], indirect=True)
def test_writers_go_on_while_an_index_is_built(filled_url: str) -> None:
    """The build waits for an older writer to end; claims and heartbeats must not wait behind the build."""
    with closing(psycopg2.connect(filled_url)) as writer, writer.cursor() as cursor:
        cursor.execute(WRITE)
        migrator = start_migrating(filled_url)
        until(lambda: execute(filled_url, BUILDS), SOON_S, "an index is being built")
        for _ in range(20):
            execute(filled_url, f"SET statement_timeout = '20s'; {ROWS.replace('1000', '10')}")
        assert execute(filled_url, BUILDS), "the build was over before the writers were"
        writer.rollback()
    assert migrator.communicate()[0] == "longrun: the database schema is current\n"
    assert execute(filled_url, INVALID) == []


@pytest.mark.parametrize(("filled_url", "index"), INDEX_STEPS, indirect=["filled_url"])
def test_an_interrupted_build_is_begun_again(filled_url: str, index: str) -> None:
    with closing(psycopg2.connect(filled_url)) as writer, writer.cursor() as cursor:
        cursor.execute(WRITE)
        migrator = start_migrating(filled_url)
        until(lambda: execute(filled_url, INVALID), SOON_S, "an index is half built")
        migrator.kill()
        migrator.communicate()
        execute(filled_url, "SELECT pg_terminate_backend(pid) FROM pg_stat_progress_create_index")
        until(lambda: not execute(filled_url, BUILDS), SOON_S, "the build has ended")
        assert execute(filled_url, INVALID) == [(index,)]
        writer.rollback()
    upgrade(filled_url)
    assert execute(filled_url, INVALID) == []
    assert look(filled_url) is Schema.CURRENT


@pytest.mark.parametrize("filled_url", ["0001"], indirect=True)
def test_no_step_reads_the_whole_table_under_a_lock_that_stops_writers(filled_url: str) -> None:
    """A sequential scan of `jobs` shows in its statistics; only migrations that build indexes may do one."""
    settings = config(filled_url)
    for script in reversed(list(ScriptDirectory.from_config(settings).iterate_revisions("head", "0001"))):
        before = _scans(filled_url)
        command.upgrade(settings, script.revision)
        if not script.revision.endswith("_indexes"):
            assert _scans(filled_url) == before, script.revision
    assert look(filled_url) is Schema.CURRENT


@pytest.mark.parametrize("filled_url", ["0001"], indirect=True)
def test_claims_go_on_through_all_of_an_upgrade(filled_url: str) -> None:
    over, blocked = threading.Event(), list[Exception]()

    def claim() -> None:
        with closing(psycopg2.connect(filled_url, options="-c statement_timeout=10s")) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                while not over.is_set():
                    try:
                        cursor.execute(WRITE)
                    except psycopg2.Error as error:
                        blocked.append(error)

    claimer = threading.Thread(target=claim)
    claimer.start()
    upgrade(filled_url)
    over.set()
    claimer.join()
    assert blocked == []


def _scans(url: str) -> object:
    """The sequential scans of `jobs` so far. The process of a connection reports its own late: as it ends."""
    until(lambda: execute(url, OTHERS) == [], what="the connections of the migration have ended")
    [(scans,)] = execute(
        url,
        "SELECT pg_stat_force_next_flush()::text; SELECT seq_scan FROM pg_stat_user_tables"
        " WHERE relid = 'longrun.jobs'::regclass",
    )
    return scans
