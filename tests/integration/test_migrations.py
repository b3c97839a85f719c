"""Migrations of a real database: from nothing, again, by many at once, back, and never a long wait for a lock."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg2
from alembic import command
from alembic.script import ScriptDirectory

from jobcore.migrations import Schema, config, look, upgrade
from longrun_local.ports import free_port
from tests.servers import execute
from tests.waiting import until

TABLES = {
    "jobs", "job_events", "job_steps", "workers", "queues", "key_limits", "keeper_lease", "schedules", "fair_turns",
    "job_files", "idempotency_keys", "rate_limits", "starts", "deleted_events", "task_types", "input_files",
    "default_quotas", "owner_uses", "owner_use_changes",
    "api_keys", "signing_keys", "ended_sessions", "audit_log", "webhook_secrets", "quotas", "webhooks",
}  # fmt: skip
YOUNGER = {
    "audit_log",
    "webhook_secrets",
    "webhooks",
    "quotas",
    "default_quotas",
    "owner_uses",
    "owner_use_changes",
    "api_keys",
    "signing_keys",
    "ended_sessions",
    "job_files",
    "input_files",
    "idempotency_keys",
    "deleted_events",
    "task_types",
    "rate_limits",
    "starts",
}
"""The tables that version 0.1 did not have."""


def tables(url: str) -> set[object]:
    return {name for (name,) in execute(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'longrun'")}


def head(url: str) -> str | None:
    return ScriptDirectory.from_config(config(url)).get_current_head()


def start_migrating(url: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "jobcore.migrations", *arguments],
        env={**os.environ, "DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_an_upgrade_makes_the_schema_and_another_changes_nothing(empty_url: str) -> None:
    for _ in range(2):
        upgrade(empty_url)
        assert tables(empty_url) == TABLES | {"alembic_version"}
        assert execute(empty_url, "SELECT version_num FROM alembic_version") == [(head(empty_url),)]


def test_processes_that_upgrade_at_once_take_turns_and_all_succeed(empty_url: str) -> None:
    queue = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    turn = psycopg2.connect(empty_url)
    with turn.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(b"longrun", "big")])
    migrators = [start_migrating(empty_url) for _ in range(2)]

    def both_wait() -> bool:
        assert [migrator.poll() for migrator in migrators] == [None, None], "one did not wait for its turn"
        return execute(empty_url, queue) == [(2,)]

    until(both_wait, what="both wait for their turn")
    turn.close()
    outputs = [migrator.communicate()[0] for migrator in migrators]
    assert [migrator.returncode for migrator in migrators] == [0, 0], outputs
    assert all("the database schema is current" in output for output in outputs)
    assert execute(empty_url, "SELECT version_num FROM alembic_version") == [(head(empty_url),)]


def test_a_downgrade_leaves_nothing_and_can_be_upgraded_again(empty_url: str) -> None:
    upgrade(empty_url)
    command.downgrade(config(empty_url), "base")
    assert tables(empty_url) == {"alembic_version"}
    upgrade(empty_url)
    assert tables(empty_url) >= TABLES


def test_a_migration_waits_for_a_locked_table_in_short_tries(empty_url: str) -> None:
    """A backup holds a lock: the migration must not queue behind it for long, for all others queue behind it."""
    execute(empty_url, "CREATE SCHEMA longrun")
    command.upgrade(config(empty_url), "0005")
    backup = psycopg2.connect(empty_url)
    with backup.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM longrun.queues")
    migrator = start_migrating(empty_url)
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'longrun.queues'::regclass"
    for count in (1, 0, 1):
        until(lambda count=count: execute(empty_url, waiting) == [(count,)], what=f"{count} wait for the lock")  # type: ignore[misc]
    backup.close()
    output, _ = migrator.communicate()
    assert migrator.returncode == 0, output
    assert output.startswith("longrun: a table is locked by another session, trying the migration again")
    assert look(empty_url) is Schema.CURRENT


def test_an_unreachable_database_ends_with_one_line_that_names_the_setting() -> None:
    migrator = start_migrating("postgresql://longrun:x@127.0.0.1:1/longrun")
    output, _ = migrator.communicate()
    assert migrator.returncode == 1
    assert output.startswith("longrun: cannot migrate the database at DATABASE_URL: ")
    assert "Traceback" not in output


def test_a_newer_schema_is_left_alone_so_that_a_rollback_starts(empty_url: str) -> None:
    upgrade(empty_url)
    execute(empty_url, "UPDATE alembic_version SET version_num = '9999_from_the_future'")
    for action in ("upgrade", "wait"):
        migrator = start_migrating(empty_url, action)
        assert (
            migrator.communicate()[0] == "longrun: the database schema is newer than this version, which works on it\n"
        )
        assert migrator.returncode == 0
    assert execute(empty_url, "SELECT version_num FROM alembic_version") == [("9999_from_the_future",)]


def test_wait_returns_once_somebody_else_has_migrated(empty_url: str) -> None:
    waiter = start_migrating(empty_url, "wait", "--timeout", "60")
    assert waiter.stdout is not None
    assert "older than this version" in waiter.stdout.readline()
    upgrade(empty_url)
    assert waiter.communicate()[0] == "longrun: the database schema is current\n"
    assert waiter.returncode == 0


def test_wait_ends_at_its_timeout_and_says_what_to_do(empty_url: str) -> None:
    waiter = start_migrating(empty_url, "wait")
    assert "run `python -m jobcore.migrations`" in waiter.communicate()[0]
    assert waiter.returncode == 1


def test_an_upgrade_waits_for_a_database_that_starts_later(empty_url: str) -> None:
    host, port = empty_url.partition("@")[2].partition("/")[0].rsplit(":", 1)
    away = free_port()
    migrator = start_migrating(empty_url.replace(f"{host}:{port}", f"127.0.0.1:{away}"), "upgrade", "--timeout", "60")
    assert migrator.stdout is not None
    assert "waiting up to 60 s" in migrator.stdout.readline()
    with forwarding(away, (host, int(port))):
        assert migrator.communicate()[0].endswith("longrun: the database schema is current\n")
    assert migrator.returncode == 0


@contextmanager
def forwarding(port: int, target: tuple[str, int]) -> Iterator[None]:
    """A TCP forwarder on a port of the loopback address."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                inner = listener.accept()[0]
                outer = socket.create_connection(target)
                for pair in ((inner, outer), (outer, inner)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    with socket.create_server(("127.0.0.1", port)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
