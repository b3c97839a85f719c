"""Waiting for a job, and asking again without reading the same: RFC 7240 and RFC 9110."""

from __future__ import annotations

import time

import httpx

from tests.conformance.conftest import ENDED, SHORT

PATIENT = {"Prefer": "wait=20"}


def test_a_preference_to_wait_is_honoured_and_said(client: httpx.Client) -> None:
    response = client.post("/tasks", json=SHORT, headers=PATIENT)
    assert response.headers["preference-applied"].startswith("wait")
    assert response.json()["status"] in ENDED


def test_a_wait_ends_after_its_seconds(client: httpx.Client, running: str) -> None:
    begun = time.monotonic()
    response = client.get(running, headers={"Prefer": "wait=1"})
    assert (response.status_code, response.json()["status"]) == (200, "RUNNING")
    assert time.monotonic() - begun >= 1


def test_an_unknown_preference_is_ignored(client: httpx.Client, ended: str) -> None:
    response = client.get(ended, headers={"Prefer": "no-such-preference"})
    assert response.status_code == 200
    assert "preference-applied" not in response.headers


def test_a_job_that_has_not_changed_is_304(client: httpx.Client, ended: str) -> None:
    first = client.get(ended)
    again = client.get(ended, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


def test_an_etag_of_something_else_gets_the_job(client: httpx.Client, ended: str) -> None:
    assert client.get(ended, headers={"If-None-Match": '"something-else"'}).status_code == 200


def test_an_etag_names_bytes_whatever_their_coding(client: httpx.Client, ended: str) -> None:
    plain = client.get(ended, headers={"Accept-Encoding": "identity"})
    packed = client.get(ended, headers={"Accept-Encoding": "gzip"})
    same_bytes = plain.headers.get("content-encoding") == packed.headers.get("content-encoding")
    assert same_bytes == (plain.headers["etag"] == packed.headers["etag"])
