"""A database for each module of store tests, emptied for each test: quicker than a fresh one for each of so many."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from sqlalchemy import Connection, text

from jobcore.store.database import Database
from longrun_local.postgres import EmbeddedPostgres
from tests.integration.store.world import World, empty

_numbers = count(1)


@pytest.fixture(scope="module")
def module_database(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """A migrated database that the tests of one module share."""
    name = f"store_{next(_numbers)}"
    server = Database(postgres.url_of("postgres"), name="test", pool_size=1)

    def execute(connection: Connection, statement: str) -> None:
        connection.execute(text(statement))

    server.call(execute, f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
    yield postgres.url_of(name)
    server.call(execute, f"DROP DATABASE {name} WITH (FORCE)")
    server.close()


@pytest.fixture
def database_url(module_database: str) -> str:
    """The module's database, empty."""
    with World(module_database) as world:
        world.call(empty)
    return module_database


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    """The store on an empty database."""
    with World(database_url) as world:
        yield world
