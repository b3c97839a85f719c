"""Faults of PostgreSQL: it crashes, is restarted or away, freezes, is full, locked, read-only, or its clock steps."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import psutil
import psycopg2

from tests.chaos.kinds import POSTGRES, Strike, fault
from tests.chaos.process_faults import frozen
from tests.fault.clock import step_database_clock
from tests.harness import LEASE_S

BRIEF = (0.5, 3.0)
LONG = (2.0, LEASE_S + 3)
OF_LONGRUN = "FROM pg_stat_activity WHERE application_name LIKE 'longrun%%'"
MAX_CONNECTIONS = 300


@contextmanager
def session(strike: Strike) -> Iterator[Any]:
    """A cursor in a transaction that ends with the block; the server may go away meanwhile."""
    connection = psycopg2.connect(strike.deployment.postgres.url, connect_timeout=5)
    try:
        yield connection.cursor()
    finally:
        with suppress(psycopg2.Error):
            connection.close()


@fault(POSTGRES)
def postgres_crashed(strike: Strike) -> None:
    """An immediate stop (as a crash, some COMMITs in flight) and a start."""
    strike.deployment.postgres.stop(immediate=True)
    strike.deployment.postgres.start()


@fault(POSTGRES)
def postgres_restarted(strike: Strike) -> None:
    """A fast stop and a start."""
    strike.deployment.postgres.stop()
    strike.deployment.postgres.start()


@fault(POSTGRES, LONG)
def postgres_away(strike: Strike) -> None:
    """A crash, and a start some seconds later, some times past the lease."""
    strike.deployment.postgres.stop(immediate=True)
    try:
        time.sleep(strike.seconds)
    finally:
        strike.deployment.postgres.start()


@fault(POSTGRES, LONG)
def postgres_frozen(strike: Strike) -> None:
    """SIGSTOP of all of PostgreSQL, then SIGCONT, some times past the lease."""
    postmaster = psutil.Process(strike.deployment.postgres.pid)
    with ExitStack() as stack:
        for process in (postmaster, *postmaster.children(recursive=True)):
            stack.enter_context(frozen(process))
        time.sleep(strike.seconds)


@fault(POSTGRES)
def postgres_backend_killed(strike: Strike) -> None:
    """SIGKILL of one backend: PostgreSQL ends all others and recovers."""
    with session(strike) as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'longrun%' AND query <> ''")
        pids = [pid for (pid,) in cursor.fetchall()]
    with suppress(psutil.NoSuchProcess):
        psutil.Process(random.Random(strike.seed).choice(pids)).kill()


@fault(POSTGRES)
def postgres_sessions_terminated(strike: Strike) -> None:
    """pg_terminate_backend of every session."""
    strike.deployment.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'longrun%%'"
    )


@fault(POSTGRES, BRIEF)
def postgres_statements_cancelled(strike: Strike) -> None:
    """pg_cancel_backend of every session, again and again."""
    over = time.monotonic() + strike.seconds
    while time.monotonic() < over:
        strike.deployment.sql(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'longrun%%'"
        )
        time.sleep(0.05)


@fault(POSTGRES, BRIEF)
def jobs_table_locked(strike: Strike) -> None:
    """ACCESS EXCLUSIVE on the table of jobs, as by a careless ALTER."""
    with session(strike) as cursor, suppress(psycopg2.OperationalError):
        cursor.execute("SET LOCAL lock_timeout = '5s'; LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
        time.sleep(strike.seconds)


@fault(POSTGRES, BRIEF)
def job_rows_locked(strike: Strike) -> None:
    """Every open job's row is locked, as by an operator's UPDATE that was not committed."""
    with session(strike) as cursor, suppress(psycopg2.OperationalError):
        cursor.execute("SELECT FROM jobs WHERE status IN ('PENDING', 'RUNNING') ORDER BY id FOR UPDATE SKIP LOCKED")
        time.sleep(strike.seconds)


@fault(POSTGRES, LONG)
def snapshot_held(strike: Strike) -> None:
    """A REPEATABLE READ transaction that stays open, as pg_dump's."""
    with session(strike) as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM jobs")
        time.sleep(strike.seconds)


@fault(POSTGRES, LONG)
def migration_behind_a_backup(strike: Strike) -> None:
    """A column is added with lock_timeout, again and again, while a backup holds its lock."""
    with session(strike) as backup:
        backup.execute("LOCK TABLE jobs IN ACCESS SHARE MODE")
        over = time.monotonic() + strike.seconds
        while time.monotonic() < over:
            with session(strike) as migration, suppress(psycopg2.errors.LockNotAvailable):
                migration.execute("SET LOCAL lock_timeout = '1s'; ALTER TABLE jobs ADD COLUMN of_a_next_version text")
            time.sleep(0.2)


@fault(POSTGRES)
def migration(strike: Strike) -> None:
    """A column is added while jobs run, and one that was added before is dropped."""
    strike.deployment.sql("ALTER TABLE jobs ADD COLUMN IF NOT EXISTS of_a_next_version text")
    strike.deployment.sql("ALTER TABLE jobs DROP COLUMN of_a_next_version")


@fault(POSTGRES, BRIEF)
def connections_exhausted(strike: Strike) -> None:
    """Every connection that PostgreSQL has left is taken, and all of Longrun's are ended."""
    taken: list[Any] = []
    try:
        with suppress(psycopg2.OperationalError):
            while len(taken) < MAX_CONNECTIONS:
                taken.append(psycopg2.connect(strike.deployment.postgres.url, connect_timeout=5))
        if taken:
            taken[0].cursor().execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'longrun%'"
            )
        time.sleep(strike.seconds)
    finally:
        for connection in taken:
            connection.close()


@fault(POSTGRES, BRIEF)
def postgres_read_only(strike: Strike) -> None:
    """Every session is read-only, as after a failover to a standby that was not promoted."""
    deployment = strike.deployment
    end = f"SELECT pg_terminate_backend(pid) {OF_LONGRUN}"
    deployment.sql("ALTER DATABASE longrun SET default_transaction_read_only = on")
    try:
        deployment.sql(end)
        time.sleep(strike.seconds)
    finally:
        deployment.sql("SET TRANSACTION READ WRITE; ALTER DATABASE longrun RESET default_transaction_read_only")
        deployment.sql(end)


@fault(POSTGRES, LONG)
def database_clock_stepped(strike: Strike) -> None:
    """now() steps by up to a minute, either way, and back."""
    step_database_clock(strike.deployment.postgres.url, random.Random(strike.seed).uniform(-60, 60))
    try:
        time.sleep(strike.seconds)
    finally:
        step_database_clock(strike.deployment.postgres.url, 0)
