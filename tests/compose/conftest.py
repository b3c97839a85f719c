"""One project for all tests of docker-compose.yml, made of the images that `make images` built.

LONGRUN_COMPOSE_TAG   the images' tag (default: dev)
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from longrun_client import Longrun
from tests.compose.project import Project, find_compose, why_not


@pytest.fixture(scope="session")
def project() -> Iterator[Project]:
    """All containers, healthy; removed with their volumes at the end."""
    tag = os.environ.get("LONGRUN_COMPOSE_TAG", "dev")
    if reason := why_not(tag):
        pytest.skip(reason)
    project = Project(find_compose(), tag)
    try:
        project.up()
        yield project
    finally:
        project.run("down", "--volumes", "--remove-orphans", "--timeout", "60")


@pytest.fixture
def client(project: Project) -> Iterator[Longrun]:
    """A client on this machine."""
    with project.client() as client:
        yield client
