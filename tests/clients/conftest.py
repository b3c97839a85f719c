"""A live server for generated clients, its OpenAPI document in a file, and the tools."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from tests.clients.tools import Tools
from tests.processes import Stack


@pytest.fixture(scope="package")
def url(new_stack: Callable[[str], AbstractContextManager[Stack]]) -> Iterator[str]:
    """Where an API answers; a worker runs its tasks."""
    with new_stack("clients") as stack:
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
    file.write_bytes(httpx.get(f"{url}/openapi.json", timeout=30).raise_for_status().content)
    return file
