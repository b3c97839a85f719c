"""Changes that depend on what the client has seen: RFC 9110, section 13."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from tests.conformance.conftest import SHORT, problem


@pytest.fixture
def schedule(client: httpx.Client) -> Iterator[str]:
    """The path of a schedule that is due once a year."""
    body = {"name": f"conformance-{uuid4()}", "cron": "0 0 1 1 *", "task": SHORT}
    created = client.post("/schedules", json=body)
    assert created.status_code == 201
    yield str(created.headers["location"])
    client.delete(created.headers["location"])


def test_what_was_created_is_at_its_location(client: httpx.Client, schedule: str) -> None:
    assert client.get(schedule).json()["cron"] == "0 0 1 1 *"


def test_a_change_of_the_version_that_was_seen_is_made(client: httpx.Client, schedule: str) -> None:
    seen = {"If-Match": client.get(schedule).headers["etag"]}
    assert client.patch(schedule, json={"cron": "0 0 2 1 *"}, headers=seen).json()["cron"] == "0 0 2 1 *"


def test_a_change_of_another_version_is_412_and_not_made(client: httpx.Client, schedule: str) -> None:
    seen = {"If-Match": client.get(schedule).headers["etag"]}
    client.patch(schedule, json={"cron": "0 0 3 1 *"})
    assert problem(client.patch(schedule, json={"cron": "0 0 4 1 *"}, headers=seen))["status"] == 412
    assert problem(client.delete(schedule, headers=seen))["status"] == 412
    assert client.get(schedule).json()["cron"] == "0 0 3 1 *"
