"""Prepared statements on the distribution's PostgreSQL, alone and behind its PgBouncer: nothing is tried that fails.

A statement that fails is written to PostgreSQL's log as a whole, and the hot ones carry the inputs of jobs.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import Connection

from jobcore.migrations import upgrade
from jobcore.store.prepared import Prepared
from tests.backends import end_backends
from tests.integration.store.world import World, race
from tests.servers import DebianPostgres
from tests.stock.pgbouncer import PROGRAM, PgBouncer

SECRET = "the-input-of-a-client"
POOL = 3

_numbers = count(1)


@pytest.fixture(scope="module")
def server(server_folder: Path) -> Iterator[DebianPostgres]:
    """A stock PostgreSQL."""
    stock = DebianPostgres(server_folder / "prepared")
    try:
        stock.programs()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    with stock:
        with closing(psycopg2.connect(stock.url_of("postgres"))) as connection:
            connection.autocommit = True
            connection.cursor().execute("CREATE DATABASE jobs")
        upgrade(stock.url_of("jobs"))
        yield stock


@pytest.fixture(params=["alone", "pooled"])
def url(server: DebianPostgres, request: pytest.FixtureRequest, server_folder: Path) -> Iterator[str]:
    """The database, and the same through PgBouncer."""
    if request.param == "alone":
        yield server.url_of("jobs")
        return
    if not shutil.which(PROGRAM):
        pytest.skip("there is no PgBouncer on this machine: apt install pgbouncer")
    with PgBouncer(server_folder / f"pgbouncer-{next(_numbers)}", server.port, POOL) as pooler:
        yield pooler.url_of(server.url_of("jobs"))


def run_jobs(world: World, queue: str) -> None:
    """Accept, claim and finish on many connections at once."""
    worker = world.worker(queue, concurrency=9)

    def work() -> None:
        world.insert_many(3, queue=queue, input={"text": SECRET})
        for claim in world.take(worker, 3, queue=queue, quick=["echo"]):
            world.finish(claim)

    for _ in range(6):
        race(*[work] * 8)
    while claims := world.take(worker, 9, queue=queue, quick=["echo"]):
        for claim in claims:
            world.finish(claim)
    [row] = world.sql("SELECT count(*) AS jobs FROM jobs WHERE queue = :queue AND status = 'SUCCESS'", queue=queue)
    assert row["jobs"] == 6 * 8 * 3


def prepared(world: World) -> int:
    [row] = world.sql("SELECT count(*) AS known FROM pg_prepared_statements WHERE name LIKE 'longrun%'")
    return int(row["known"])


def test_new_connections_leave_no_error_and_no_input_in_postgresqls_log(
    server: DebianPostgres, url: str, request: pytest.FixtureRequest
) -> None:
    before = len(server.log.read_text())
    for again in range(2):
        with World(url) as world:
            run_jobs(world, f"{request.node.callspec.id}-{again}")
            assert prepared(world) == 5, "accept, claim and finish, and the locks of two, are planned once a connection"
    log = server.log.read_text()[before:]
    assert "ERROR" not in log, log
    assert SECRET not in log


def test_a_connection_that_was_reset_learns_the_statements_again(url: str, server: DebianPostgres) -> None:
    statement = Prepared("double", "SELECT :n * 2", n="integer")

    def ask(connection: Connection) -> int:
        return int(statement.execute(connection, {"n": 21}).scalar_one())

    def reset(connection: Connection) -> int:
        ask(connection)
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.cursor().execute("DISCARD ALL")
        return ask(connection)

    with World(url) as world:
        assert world.call(reset) == 42
    end_backends(server.url_of("jobs"), "%")
    with World(url) as world:
        assert world.call(ask) == 42
