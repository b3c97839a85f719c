"""RFC 9110: methods, status codes, content negotiation."""

from __future__ import annotations

import gzip
import json

import httpx
import pytest

from tests.conformance.conftest import SHORT
from tests.integration.raw_http import exchange, request

PATHS = ["/tasks", "/healthz", "/openapi.json"]


@pytest.mark.parametrize("path", PATHS)
def test_head_is_get_without_the_content(client: httpx.Client, path: str) -> None:
    get, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers.get("content-type") == get.headers.get("content-type")


def test_options_lists_the_methods_of_a_path(client: httpx.Client) -> None:
    response = client.options("/tasks")
    assert response.is_success
    assert {"GET", "HEAD", "POST"} <= set(response.headers["allow"].split(", "))


def test_options_of_the_server_is_answered(base_url: str) -> None:
    assert exchange(base_url, request("OPTIONS", "*", "Host: localhost")).status in (200, 204)


def test_a_method_that_a_path_does_not_allow_is_405_with_allow(client: httpx.Client) -> None:
    response = client.put("/tasks", json={})
    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) == set(client.options("/tasks").headers["allow"].split(", "))


def test_an_unknown_method_is_501(base_url: str) -> None:
    assert exchange(base_url, request("BREW", "/tasks", "Host: localhost")).status == 501


def test_a_body_of_another_type_is_415_with_accept(client: httpx.Client) -> None:
    response = client.post("/tasks", content=json.dumps(SHORT), headers={"Content-Type": "text/plain"})
    assert response.status_code == 415
    assert "application/json" in response.headers["accept"]


def test_an_encoded_body_is_415_with_accept_encoding_or_taken(client: httpx.Client) -> None:
    packed = gzip.compress(json.dumps(SHORT).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    response = client.post("/tasks", content=packed, headers=headers)
    assert response.status_code == 202 or (response.status_code, "accept-encoding" in response.headers) == (415, True)


def test_a_byte_order_mark_before_json_is_ignored(client: httpx.Client) -> None:
    body = "\ufeff" + json.dumps(SHORT)
    assert client.post("/tasks", content=body, headers={"Content-Type": "application/json"}).status_code == 202


def test_a_weight_of_0_forbids_a_coding(client: httpx.Client) -> None:
    response = client.get("/openapi.json", headers={"Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in response.headers


def test_a_response_that_depends_on_accept_encoding_says_so(client: httpx.Client) -> None:
    packed = client.get("/openapi.json", headers={"Accept-Encoding": "gzip"})
    plain = client.get("/openapi.json", headers={"Accept-Encoding": "identity"})
    if packed.headers.get("content-encoding") == "gzip":
        assert "accept-encoding" in packed.headers["vary"].lower()
        assert "accept-encoding" in plain.headers["vary"].lower()
    assert packed.content == plain.content
