"""A world for each test of the store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.store.world import World


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    """The store on a fresh database."""
    with World(database_url) as world:
        yield world
