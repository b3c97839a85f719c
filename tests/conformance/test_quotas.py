"""Quotas of owners: RFC 6585, section 4, and draft-ietf-httpapi-ratelimit-headers-11."""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from tests.conformance.conftest import SHORT, Keyed, problem
from tests.waiting import until

POLICY = '"submissions";q=2;w=1'


@pytest.fixture
def limited(keyed: Keyed) -> Iterator[str]:
    """The key of an owner that may submit two tasks a second."""
    owner = f"conformance-{uuid4()}"
    keyed.send("PUT", f"/quotas/{owner}", {"submissions": 2}).raise_for_status()
    key = keyed.make("submit", owner=owner).json()["key"]
    until(lambda: submit(keyed, key).headers.get("ratelimit-policy") == POLICY)  # all processes know it soon
    yield key
    keyed.send("DELETE", f"/quotas/{owner}", None)


def submit(keyed: Keyed, key: str) -> httpx.Response:
    return keyed.send("POST", "/tasks", SHORT, key)


def too_many(keyed: Keyed, key: str) -> httpx.Response:
    """What one submission too many is answered, after a batch that takes the quota of half a minute."""
    until(lambda: keyed.send("POST", "/tasks:batch", {"items": [SHORT] * 60}, key).is_success)
    return submit(keyed, key)


def test_an_accepted_submission_tells_the_quota_and_what_is_left(keyed: Keyed, limited: str) -> None:
    until(lambda: (accepted := submit(keyed, limited)).status_code == 202 and told(accepted))


def told(accepted: httpx.Response) -> bool:
    assert accepted.headers["ratelimit-policy"] == POLICY
    assert re.fullmatch('"submissions";r=[01];t=[01]', accepted.headers["ratelimit"]), accepted.headers["ratelimit"]
    return True


def test_one_submission_too_many_is_429_and_told_when_to_come_back(keyed: Keyed, limited: str) -> None:
    refused = too_many(keyed, limited)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 31
    assert refused.headers["ratelimit-policy"] == POLICY
    assert refused.headers["ratelimit"] == f'"submissions";r=0;t={refused.headers["retry-after"]}'


def test_its_problem_names_the_quota_that_is_exceeded(keyed: Keyed, limited: str) -> None:
    document = problem(too_many(keyed, limited))
    assert document["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert document["violated-policies"] == ["submissions"]
