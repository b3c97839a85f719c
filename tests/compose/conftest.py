"""One stack for all tests of docker-compose.yml, made of the images that `make images` built.

LONGRUN_COMPOSE_TAG   the images' tag (default: dev)
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from longrun_client import Longrun
from tests.compose.stack import Stack, find_compose, why_not


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """All containers, healthy; removed with their volumes at the end."""
    tag = os.environ.get("LONGRUN_COMPOSE_TAG", "dev")
    if reason := why_not(tag):
        pytest.skip(reason)
    stack = Stack(find_compose(), tag)
    try:
        stack.up()
        yield stack
    finally:
        stack.run("down", "--volumes", "--remove-orphans", "--timeout", "60")


@pytest.fixture
def client(stack: Stack) -> Iterator[Longrun]:
    """A client on this machine."""
    with stack.client() as client:
        yield client
