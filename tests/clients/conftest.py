"""A live server for generated clients, its OpenAPI document in a file, and the tools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from longrun_local.postgres import EmbeddedPostgres
from longrun_local.valkey import EmbeddedValkey
from tests.clients.tools import Tools
from tests.conftest import database
from tests.processes import Stack


@pytest.fixture(scope="package")
def url(
    postgres: EmbeddedPostgres,
    migrated_template: str,
    redis_server: EmbeddedValkey,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Where an API answers; a worker runs its tasks."""
    with (
        database(postgres, migrated_template) as database_url,
        Stack(database_url, redis_server.url, tmp_path_factory.mktemp("clients")) as stack,
    ):
        stack.worker()
        yield stack.api().url


@pytest.fixture(scope="package")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    """The tools."""
    return Tools(tmp_path_factory.mktemp("tools"))


@pytest.fixture
def document(url: str, tmp_path: Path) -> Path:
    """The OpenAPI document of the server, in a file."""
    file = tmp_path / "openapi.json"
    file.write_bytes(httpx.get(f"{url}/openapi.json").raise_for_status().content)
    return file
