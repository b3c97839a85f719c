"""Uploads and forms: RFC 9110, RFC 9530, RFC 7578."""

from __future__ import annotations

import base64
import hashlib
import json

import httpx

from tests.conformance.conftest import SHORT, problem
from tests.integration.raw_http import exchange, request

CONTENT = b"0123456789"


def test_an_upload_is_created_and_has_a_location(client: httpx.Client) -> None:
    response = client.post("/files", content=CONTENT, headers={"Content-Type": "text/plain"})
    assert response.status_code == 201
    shown = client.get(response.headers["location"]).json()
    assert (shown["size"], shown["media_type"]) == (len(CONTENT), "text/plain")
    assert shown["sha256"] == hashlib.sha256(CONTENT).hexdigest()


def test_a_body_with_another_digest_is_refused(client: httpx.Client) -> None:
    digest = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
    headers = {"Content-Digest": f"sha-256=:{digest}:"}
    assert client.post("/files", content=CONTENT, headers=headers).status_code == 201
    assert client.post("/files", content=CONTENT[1:], headers=headers).status_code == 400


def test_an_upload_with_a_content_coding_is_415_with_what_is_accepted(client: httpx.Client) -> None:
    refused = client.post("/files", content=CONTENT, headers={"Content-Encoding": "gzip"})
    assert problem(refused)["status"] == 415
    assert (refused.headers["accept"], refused.headers["accept-encoding"]) == ("*/*", "identity")


def test_an_upload_that_is_announced_as_too_large_is_413(base_url: str) -> None:
    lines = ("Host: localhost", f"Content-Length: {2**50}")
    assert exchange(base_url, request("POST", "/files", *lines)).status == 413


def test_an_upload_that_is_deleted_is_gone(client: httpx.Client) -> None:
    location = client.post("/files", content=CONTENT).headers["location"]
    assert client.delete(location).status_code == 204
    assert client.get(location).status_code == 404


def test_a_file_that_has_not_changed_is_304(client: httpx.Client) -> None:
    path = f"{with_file(client)}/input-files/digits"
    known = {"If-None-Match": client.get(path).headers["etag"]}
    assert client.get(path, headers=known).status_code == 304


def test_a_range_of_another_version_is_the_whole_file(client: httpx.Client) -> None:
    path = f"{with_file(client)}/input-files/digits"
    tag = client.get(path).headers["etag"]
    answers = [client.get(path, headers={"Range": "bytes=2-4", "If-Range": version}) for version in (tag, '"other"')]
    assert [answer.status_code for answer in answers] == [206, 200]


def test_a_form_of_a_task_and_its_files_makes_the_task(client: httpx.Client) -> None:
    assert [file["name"] for file in client.get(with_file(client)).json()["input_files"]] == ["digits"]


def test_a_form_without_its_end_is_refused(client: httpx.Client) -> None:
    request = client.build_request("POST", "/tasks", files={"task": (None, json.dumps(SHORT)), "digits": CONTENT})
    headers = {"Content-Type": request.headers["content-type"]}
    assert client.post("/tasks", content=request.read()[:-4], headers=headers).status_code == 400


def test_a_range_of_a_file_is_partial_content(client: httpx.Client) -> None:
    path = f"{with_file(client)}/input-files/digits"
    part = client.get(path, headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")
    assert part.headers["content-range"] == f"bytes 2-4/{len(CONTENT)}"
    assert client.get(path, headers={"Range": "bytes=10-"}).status_code == 416


def with_file(client: httpx.Client) -> str:
    """The path of a task that was submitted with a file."""
    response = client.post("/tasks", files={"task": (None, json.dumps(SHORT)), "digits": ("digits.txt", CONTENT)})
    assert response.status_code == 202, response.text
    return str(response.headers["location"])
