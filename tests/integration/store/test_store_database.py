"""The connection: which failure is the row's, which the server's, and which is nobody's business."""

from __future__ import annotations

import threading
from functools import partial
from itertools import count

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from jobcore.errors import StoreUnavailable
from jobcore.store import health, jobs
from jobcore.store.database import Database, RowRefused
from jobcore.store.transactions import DURABLE, transaction
from longrun_local.postgres import EmbeddedPostgres
from tests.backends import end_backends
from tests.harness import sql
from tests.integration.store.world import World, race


def test_a_deadlock_is_tried_again_until_both_sides_are_done(world: World) -> None:
    first, second = world.insert_many(2)
    tries, both_hold_one = count(), threading.Barrier(2)
    statement = text("UPDATE jobs SET priority = priority + 1 WHERE id = :id")

    def update(connection: Connection, one: object, other: object) -> None:
        with transaction(connection):
            connection.execute(statement, {"id": one})
            if next(tries) < 2:
                both_hold_one.wait()
            connection.execute(statement, {"id": other})

    def update_one_way(one: object, other: object) -> None:
        world.call(update, one, other)

    race(partial(update_one_way, first, second), partial(update_one_way, second, first))
    assert next(tries) > 2, "there was no deadlock"
    assert [world.row(job_id)["priority"] for job_id in (first, second)] == [2, 2]


def test_a_connection_that_was_cut_while_nobody_used_it_is_replaced_unseen(database_url: str) -> None:
    db = Database(database_url, name="victim", pool_size=1)
    db.call(health.commit)
    assert end_backends(database_url, "victim") == 1
    db.call(health.commit)
    db.close()


def test_a_connection_that_is_cut_in_a_call_is_unavailable_once_and_then_replaced(database_url: str) -> None:
    db = Database(database_url, name="victim", pool_size=1)

    def cut(connection: Connection) -> None:
        assert end_backends(database_url, "victim") == 1
        connection.execute(text("SELECT 1"))

    with pytest.raises(StoreUnavailable):
        db.call(cut)
    db.call(health.commit)
    db.close()


def test_nobody_listening_is_unavailable() -> None:
    db = Database("postgresql://longrun:x@127.0.0.1:1/longrun", name="lost")
    with pytest.raises(StoreUnavailable):
        db.call(health.commit)


def test_a_pool_that_is_used_up_is_unavailable(database_url: str) -> None:
    db = Database(database_url, name="small", pool_size=1)
    held, done = threading.Event(), threading.Event()

    def hold(_connection: Connection) -> None:
        held.set()
        done.wait()

    holder = threading.Thread(target=db.call, args=(hold,))
    holder.start()
    held.wait()
    with pytest.raises(StoreUnavailable, match="busy"):
        db.call(health.commit)
    done.set()
    holder.join()
    db.close()


def test_a_lock_held_longer_than_the_statement_timeout_is_unavailable(world: World) -> None:
    job_id = world.insert()

    def impatient(connection: Connection) -> None:
        connection.execute(text(f"{DURABLE} SET LOCAL statement_timeout = '100ms'; SELECT FROM jobs FOR UPDATE"))

    def hold(connection: Connection) -> None:
        connection.execute(text("BEGIN; SELECT FROM jobs FOR UPDATE"))
        with pytest.raises(StoreUnavailable):
            world.call(impatient)
        connection.execute(text("ROLLBACK"))

    world.call(hold)
    world.call(impatient)
    assert world.cancel(job_id)


def test_a_mistake_in_a_statement_is_neither_the_rows_nor_the_servers_fault(world: World) -> None:
    with pytest.raises(ProgrammingError):
        world.sql("SELECT no such syntax FROM jobs")


@pytest.mark.parametrize("value", ["\0", "\ud800"])
def test_a_parameter_that_cannot_be_written_is_refused_and_the_connection_lives(world: World, value: str) -> None:
    with pytest.raises(RowRefused):
        world.sql("SELECT CAST(:value AS text)", value=value)
    assert world.sql("SELECT 1 AS one") == [{"one": 1}]


def test_a_mistake_of_a_reader_is_not_the_rows_fault(world: World) -> None:
    def misread(connection: Connection) -> None:
        int(connection.execute(text("SELECT 'x'")).scalar_one())

    with pytest.raises(ValueError, match="invalid literal"):
        world.call(misread)


def test_nothing_set_for_a_statement_outlives_it(database_url: str) -> None:
    """PgBouncer hands the connection to somebody else next."""
    db = Database(database_url, name="test", pool_size=1)

    def settings(connection: Connection) -> list[object]:
        names = ("synchronous_commit", "statement_timeout", "search_path", "jit")
        cursor = connection.connection.cursor()  # what goes through SQLAlchemy begins with settings of its own
        return [cursor.execute(f"SHOW {name}") or cursor.fetchone() for name in names]

    before = db.call(settings)
    db.call(jobs.find, [])
    db.call(health.commit)
    assert db.call(settings) == before
    db.close()


@pytest.mark.parametrize("settings", ["jit = on", "search_path = other", "search_path = ''"])
def test_no_setting_of_the_role_or_the_database_reaches_a_statement(database_url: str, settings: str) -> None:
    name = database_url.rpartition("/")[2]
    sql(database_url, "CREATE SCHEMA IF NOT EXISTS other")
    sql(database_url, "CREATE TABLE IF NOT EXISTS other.jobs (nothing_that_longrun_knows integer)")
    sql(database_url, f"ALTER DATABASE {name} SET {settings}")
    try:
        with World(database_url) as world:
            assert world.sql("SELECT current_setting('jit') AS jit") == [{"jit": "off"}]
            assert world.row(world.insert())["status"] == "PENDING"
    finally:
        sql(database_url, f"ALTER DATABASE {name} RESET ALL")


def test_ready_means_that_a_commit_is_possible(world: World, postgres: EmbeddedPostgres) -> None:
    world.call(health.commit)
    bare = Database(postgres.url_of("postgres"), name="test")
    with pytest.raises(StoreUnavailable, match=r"python -m jobcore\.migrations"):
        bare.call(health.commit)
    bare.close()


def test_a_read_only_database_is_not_ready(world: World, database_url: str) -> None:
    name = database_url.rpartition("/")[2]
    with world.db.engine.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
        fresh = Database(database_url, name="test")
        try:
            with pytest.raises(StoreUnavailable, match="read-only"):
                fresh.call(health.commit)
        finally:
            connection.execute(text(f"ALTER DATABASE {name} RESET default_transaction_read_only"))
            fresh.close()
