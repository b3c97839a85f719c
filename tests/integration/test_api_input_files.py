"""Input files over HTTP: uploaded, named by one submission, listed and downloaded, and refused where they must be."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from uuid_utils.compat import uuid7

from longrun_client import AsyncLongrun, Longrun
from tests.integration.hand_worker import HandWorker
from tests.integration.test_api_submit import problem
from tests.integration.test_client_stack import LONGRUN
from tests.processes import Stack
from tests.servers import execute
from tests.waiting import until

CONTENT = os.urandom(700_001)
"""More than two pieces."""
SHA_256 = hashlib.sha256(CONTENT)
TYPE = {"Content-Type": "video/mp4"}
Upload = Callable[..., str]
Form = list[tuple[str, tuple[str | None, bytes, str]]]


@pytest.fixture
def upload(api: httpx.Client) -> Upload:
    """Uploads a file; returns its id."""

    def upload(content: bytes = CONTENT) -> str:
        response = api.post("/files", content=content, headers=TYPE)
        assert response.status_code == 201, response.text
        file_id: str = response.json()["file_id"]
        return file_id

    return upload


@pytest.fixture
def body(worker: HandWorker) -> Callable[..., dict[str, Any]]:
    """The body of a submission with these files, to the queue of this test."""

    def body(files: dict[str, str] | None = None, **options: Any) -> dict[str, Any]:
        given = {"task_type": "sleep", "input": {"seconds": 1}, "queue": worker.queue, **options}
        return given if files is None else given | {"files": files}

    return body


Body = Callable[..., dict[str, Any]]


def stored(stack: Stack) -> int:
    """How many files the store of files has."""
    return sum(path.is_file() for path in stack.files.rglob("*"))


def waiting(stack: Stack) -> int:
    """How many files wait for a submission, or are being uploaded."""
    [row] = execute(stack.database_url, "SELECT count(*) FROM input_files WHERE name IS NULL AND delete_at IS NULL")
    return int(row[0])


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_is_stored_and_says_what_arrived(api: httpx.Client, chunked: bool) -> None:
    def pieces() -> Iterator[bytes]:
        yield CONTENT[:300_000]
        yield CONTENT[300_000:]

    response = api.post("/files", content=pieces() if chunked else CONTENT, headers=TYPE)
    assert response.status_code == 201
    shown = response.json()
    assert (shown["size"], shown["media_type"]) == (len(CONTENT), "video/mp4")
    assert shown["sha256"] == SHA_256.hexdigest()
    assert shown["expires_at"] > shown["created_at"]
    assert response.headers["location"] == f"/files/{shown['file_id']}"
    assert api.get(response.headers["location"]).json() == shown


def test_a_task_has_the_files_of_its_submission_and_they_can_be_downloaded(
    api: httpx.Client, upload: Upload, body: Body
) -> None:
    accepted = api.post("/tasks", json=body({"video €.mp4": upload(), "notes": upload(b"hi")}))
    assert accepted.status_code == 202, accepted.text
    task = api.get(f"/tasks/{accepted.json()['task_id']}").json()
    assert [(file["name"], file["size"], file["media_type"]) for file in task["input_files"]] == [
        ("notes", 2, "video/mp4"),
        ("video €.mp4", len(CONTENT), "video/mp4"),
    ]
    assert task["files"] == []
    here = f"{task['links']['self']}/input-files"
    assert api.get(here).json() == {"items": task["input_files"]}
    whole = api.get(f"{here}/video €.mp4")
    assert (whole.content, whole.headers["etag"]) == (CONTENT, f'"{SHA_256.hexdigest()}"')
    part = api.get(f"{here}/video €.mp4", headers={"Range": "bytes=5-14"})
    assert (part.status_code, part.content) == (206, CONTENT[5:15])
    problem(api.get(f"{task['links']['files']}/notes"), 404, "file-not-found")


def test_one_submission_can_use_a_file(api: httpx.Client, upload: Upload, body: Body) -> None:
    files = {"a": upload()}
    assert api.post("/tasks", json=body(files)).status_code == 202
    shown = problem(api.post("/tasks", json=body(files)), 422, "invalid-input")
    assert shown["errors"][0]["field"] == "files.a"
    problem(api.get(f"/files/{files['a']}"), 404, "upload-not-found")
    problem(api.delete(f"/files/{files['a']}"), 404, "upload-not-found")


def test_a_submission_with_a_file_that_is_not_there_makes_no_task(
    api: httpx.Client, upload: Upload, body: Body, worker: HandWorker
) -> None:
    good = upload()
    shown = problem(api.post("/tasks", json=body({"a": good, "b": str(uuid7())})), 422, "invalid-input")
    assert [error["field"] for error in shown["errors"]] == ["files.b"]
    assert api.get("/tasks", params={"queue": worker.queue}).json()["items"] == []
    assert api.post("/tasks", json=body({"a": good})).status_code == 202


@pytest.mark.parametrize(
    ("files", "field"),
    [
        ({"../x": "id"}, "files.../x"),
        ({"": "id"}, "files."),
        ({"a": "no id"}, "files.a"),
        ({"a": "id", "b": "id"}, "files"),
    ],
)
def test_a_name_or_an_id_that_cannot_be_used_is_refused(
    api: httpx.Client, upload: Upload, body: Body, files: dict[str, str], field: str
) -> None:
    file_id = upload(b"x")
    given = {name: file_id if value == "id" else value for name, value in files.items()}
    shown = problem(api.post("/tasks", json=body(given)), 422, "invalid-input")
    assert shown["errors"][0]["field"] == field


def test_a_repeated_submission_with_its_idempotency_key_has_the_same_answer(
    api: httpx.Client, upload: Upload, body: Body
) -> None:
    given, key = body({"a": upload()}), {"Idempotency-Key": str(uuid7())}
    first = api.post("/tasks", json=given, headers=key)
    again = api.post("/tasks", json=given, headers=key)
    assert (first.status_code, again.status_code) == (202, 202), again.text
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"


def test_a_submission_that_finds_a_live_task_leaves_its_file_for_another(
    api: httpx.Client, upload: Upload, body: Body
) -> None:
    live = api.post("/tasks", json=body(dedupe_key=str(uuid7()))).json()
    key = api.get(f"/tasks/{live['task_id']}").json()["dedupe_key"]
    files = {"a": upload()}
    found = api.post("/tasks", json=body(files, dedupe_key=key))
    assert (found.status_code, found.json()["task_id"]) == (200, live["task_id"])
    assert api.post("/tasks", json=body(files)).status_code == 202


def test_a_retried_task_has_its_files(api: httpx.Client, upload: Upload, body: Body) -> None:
    task_id = api.post("/tasks", json=body({"a": upload()})).json()["task_id"]
    assert api.delete(f"/tasks/{task_id}").status_code == 200
    retried = api.post(f"/tasks/{task_id}/retry")
    assert (retried.status_code, [file["name"] for file in retried.json()["input_files"]]) == (202, ["a"])


def test_a_schedule_takes_no_files(api: httpx.Client, upload: Upload, body: Body) -> None:
    schedule = {"name": str(uuid7()), "cron": "* * * * *", "task": body({"a": upload()})}
    shown = problem(api.post("/schedules", json=schedule), 422, "invalid-input")
    assert shown["errors"][0]["field"] == "task.files"


def test_validate_only_says_whether_the_files_could_be_used_and_uses_none(
    api: httpx.Client, upload: Upload, body: Body
) -> None:
    given = body({"a": upload()})
    assert api.post("/tasks?validate_only=true", json=given).status_code == 200
    assert api.post("/tasks", json=given).status_code == 202
    problem(api.post("/tasks?validate_only=true", json=given), 422, "invalid-input")


def test_the_tasks_of_a_batch_have_files_each_its_own(api: httpx.Client, upload: Upload, body: Body) -> None:
    shared = upload()
    items = [body({"a": upload()}), body({"a": shared}), body({"a": shared}), body()]
    shown = problem(api.post("/tasks:batch", json={"items": items}), 422, "invalid-input")
    assert [error["field"] for error in shown["errors"]] == ["items[2].files.a"]
    key = {"Idempotency-Key": str(uuid7())}
    answers = [api.post("/tasks:batch", json={"items": items, "atomic": False}, headers=key).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert [item["status"] for item in answers[0]["items"]] == [202, 202, 422, 202]
    task = api.get(answers[0]["items"][1]["task"]["links"]["self"]).json()
    assert [file["name"] for file in task["input_files"]] == ["a"]
    atomic = {"items": [body({"a": upload()})]}
    key = {"Idempotency-Key": str(uuid7())}
    answers = [api.post("/tasks:batch", json=atomic, headers=key).json() for _ in range(2)]
    assert answers[0] == answers[1]


def test_a_digest_is_checked(api: httpx.Client, shared_stack: Stack) -> None:
    digest = base64.b64encode(SHA_256.digest()).decode()
    assert api.post("/files", content=CONTENT, headers={"Content-Digest": f"sha-256=:{digest}:"}).status_code == 201
    before = stored(shared_stack)
    response = api.post("/files", content=CONTENT[1:], headers={"Content-Digest": f"md5=:AA==:, sha-256=:{digest}:"})
    problem(response, 400, "digest-mismatch")
    assert stored(shared_stack) == before
    problem(api.post("/files", content=b"", headers={"Content-Digest": "sha-256=:AA==:"}), 422, "invalid-input")


def test_an_upload_that_ends_half_way_leaves_nothing(api: httpx.Client, api_url: str, shared_stack: Stack) -> None:
    before, server = stored(shared_stack), urlsplit(api_url)
    assert server.hostname
    assert server.port
    with socket.create_connection((server.hostname, server.port), timeout=30) as connection:
        head = f"POST /files HTTP/1.1\r\nHost: {server.netloc}\r\nContent-Length: {len(CONTENT)}\r\n\r\n"
        connection.sendall(head.encode() + CONTENT[:-1])
        until(lambda: stored(shared_stack) > before)
    until(lambda: stored(shared_stack) == before)


def test_a_form_is_a_task_with_its_files(api: httpx.Client, body: Body) -> None:
    form: Form = [
        ("task", (None, json.dumps(body()).encode(), "application/json")),
        ("clip", ("holiday.mp4", CONTENT, "video/mp4")),
        ("empty", ("empty.txt", b"", "text/plain")),
    ]
    key = {"Idempotency-Key": str(uuid7())}
    accepted = api.post("/tasks", files=form, headers=key)
    assert accepted.status_code == 202, accepted.text
    task = api.get(accepted.headers["location"]).json()
    assert [(file["name"], file["size"], file["media_type"], file["sha256"]) for file in task["input_files"]] == [
        ("clip", len(CONTENT), "video/mp4", SHA_256.hexdigest()),
        ("empty", 0, "text/plain", hashlib.sha256().hexdigest()),
    ]
    again = api.post("/tasks", files=form, headers=key)
    assert (again.status_code, again.json()) == (202, accepted.json())
    other: Form = [form[0], ("clip", ("holiday.mp4", CONTENT[1:], "video/mp4"))]
    problem(api.post("/tasks", files=other, headers=key), 422, "idempotency-key-reused")


def test_a_repeated_form_has_its_answer_although_its_task_would_be_refused_now(
    api: httpx.Client, body: Body, shared_stack: Stack
) -> None:
    expiry = datetime.now(UTC) + timedelta(seconds=2)
    form: Form = [
        ("task", (None, json.dumps(body(expires_at=expiry.isoformat())).encode(), "application/json")),
        ("clip", ("holiday.mp4", CONTENT, "video/mp4")),
    ]
    key = {"Idempotency-Key": str(uuid7())}
    accepted = api.post("/tasks", files=form, headers=key)
    assert accepted.status_code == 202, accepted.text
    until(lambda: datetime.now(UTC) > expiry)
    problem(api.post("/tasks", files=form), 422, "invalid-input")
    before = stored(shared_stack)
    again = api.post("/tasks", files=form, headers=key)
    assert (again.status_code, again.headers.get("idempotency-replayed")) == (202, "true"), again.text
    assert again.json() == accepted.json()
    assert stored(shared_stack) == before
    other: Form = [form[0], ("clip", ("holiday.mp4", CONTENT[1:], "video/mp4"))]
    problem(api.post("/tasks", files=other, headers=key), 422, "idempotency-key-reused")
    malformed: Form = [("task", (None, b"{", "application/json")), form[1]]
    problem(api.post("/tasks", files=malformed, headers=key), 422, "idempotency-key-reused")


@pytest.mark.parametrize("broken", ["input", "order", "twice", "name", "end"])
def test_a_form_that_is_refused_leaves_no_task_and_no_file(
    api: httpx.Client, body: Body, worker: HandWorker, shared_stack: Stack, broken: str
) -> None:
    before = waiting(shared_stack)
    given = body(input={"seconds": "no" if broken == "input" else 1})
    task: Form = [("task", (None, json.dumps(given).encode(), "application/json"))]
    file: Form = [("a", ("a", CONTENT, "video/mp4"))]
    forms = {"order": file + task, "twice": task + file + file, "name": [*task, ("a/b", ("x", b"x", "text/plain"))]}
    request = api.build_request("POST", "/tasks", files=forms.get(broken, task + file))
    content = request.read()[:-8] if broken == "end" else request.read()
    response = api.post("/tasks", content=content, headers={"Content-Type": request.headers["content-type"]})
    problem(response, *((400, "malformed-form") if broken == "end" else (422, "invalid-input")))
    assert api.get("/tasks", params={"queue": worker.queue}).json()["items"] == []
    assert waiting(shared_stack) == before


def test_the_clients_upload_what_they_submit(api_url: str, body: Body, tmp_path: Path, worker: HandWorker) -> None:
    path = tmp_path / "holiday.mp4"
    path.write_bytes(CONTENT)

    def listed(task_id: str) -> list[tuple[str, str, str]]:
        return [(file.name, file.media_type, file.sha256) for file in longrun.input_files(task_id)]

    sha256 = SHA_256.hexdigest()
    with Longrun(api_url) as longrun, path.open("rb") as file:
        early = longrun.upload(file, "text/plain")
        task = longrun.submit("sleep", {"seconds": 1}, queue=worker.queue, files={"early": early, "path": path})
        assert listed(task.task_id) == [("early", "text/plain", sha256), ("path", "video/mp4", sha256)]
        assert [file.name for file in longrun.get(task.task_id).input_files] == ["early", "path"]

        async def submit() -> str:
            async with AsyncLongrun(api_url) as client:
                files = {"pipe": io.BytesIO(CONTENT)}
                return (await client.submit("sleep", {"seconds": 1}, queue=worker.queue, files=files)).task_id

        assert listed(asyncio.run(submit())) == [("pipe", "application/octet-stream", sha256)]
        command = [*LONGRUN, "--server", api_url, "submit", "sleep", "--seconds", "1", "--queue", worker.queue]
        options = ["--file", str(path), "--file", f"b={path}"]
        done = subprocess.run([*command, *options], check=True, stdout=subprocess.PIPE, text=True)
        assert [name for name, _, _ in listed(done.stdout.strip())] == ["b", "holiday.mp4"]
