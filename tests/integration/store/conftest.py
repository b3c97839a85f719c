"""A database for each module of store tests, emptied for each test: quicker than a fresh one for each of so many."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from longrun_local.postgres import EmbeddedPostgres
from tests.conftest import database
from tests.integration.store.world import CONTRADICTIONS, MISCOUNTED, World, empty


@pytest.fixture(scope="module")
def module_database(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """A migrated database that the tests of one module share."""
    with database(postgres, migrated_template) as url:
        yield url


@pytest.fixture
def database_url(module_database: str) -> Iterator[str]:
    """The module's database, empty; the test must leave no row that contradicts itself, and no wrong count."""
    with World(module_database) as world:
        world.call(empty)
        yield module_database
        assert world.sql(CONTRADICTIONS) == []
        assert world.sql(MISCOUNTED) == []
