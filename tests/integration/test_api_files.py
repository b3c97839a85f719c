"""Files over HTTP: whole, in part, resumed, checked for change; and when their bytes are not where they should be."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable
from urllib.parse import quote, urlsplit

import httpx
import pytest
from uuid_utils.compat import uuid7

from jobcore.files.folder import FolderStore
from jobcore.models import Claim, NewFile
from jobcore.store import files
from tests.integration.hand_worker import HandWorker
from tests.integration.test_api_submit import problem
from tests.processes import Stack
from tests.waiting import until

CONTENT = os.urandom(700_001)
"""More than two pieces."""
ETAG = f'"{hashlib.sha256(CONTENT).hexdigest()}"'
Submit = Callable[..., str]
Keep = Callable[..., NewFile]


@pytest.fixture
def keep(shared_stack: Stack, worker: HandWorker) -> Keep:
    """Stores a file as a run does."""
    store = FolderStore(shared_stack.files)

    def keep(claim: Claim, name: str, content: bytes = CONTENT, media_type: str = "application/pdf") -> NewFile:
        file = NewFile(uuid7(), name, media_type)
        worker.db.call(files.begin, claim.id, claim.fence, file, 100)
        with store.writer(file.id, len(content)) as target:
            target.write(content)
        sha256 = hashlib.sha256(content).hexdigest()
        assert worker.db.call(files.finish, claim.id, claim.fence, file, size=len(content), sha256=sha256)
        return file

    return keep


@pytest.fixture
def claim(worker: HandWorker, submit: Submit) -> Claim:
    """A run of a job of this test."""
    submit()
    return worker.claim()


@pytest.fixture
def here(claim: Claim, keep: Keep) -> str:
    """The path of a stored file."""
    keep(claim, "report.pdf")
    return f"/tasks/{claim.id}/files/report.pdf"


def test_a_task_lists_its_files_and_each_can_be_downloaded(api: httpx.Client, claim: Claim, keep: Keep) -> None:
    task = f"/tasks/{claim.id}"
    assert api.get(task).json()["files"] == []
    assert api.get(f"{task}/files").json() == {"items": []}
    keep(claim, "report.pdf")
    keep(claim, "Übersicht €.csv", b"1,2\n", "text/csv")
    listed = api.get(task).json()
    assert [(file["name"], file["size"], file["media_type"]) for file in listed["files"]] == [
        ("report.pdf", len(CONTENT), "application/pdf"),
        ("Übersicht €.csv", 4, "text/csv"),
    ]
    assert api.get(listed["links"]["files"]).json() == {"items": listed["files"]}
    for file, content in zip(listed["files"], (CONTENT, b"1,2\n"), strict=True):
        response = api.get(f"{listed['links']['files']}/{quote(file['name'], safe='')}")
        assert (response.status_code, response.content) == (200, content)
        assert hashlib.sha256(content).hexdigest() == file["sha256"]


def test_a_download_says_what_it_is_and_no_browser_may_run_it(api: httpx.Client, claim: Claim, keep: Keep) -> None:
    keep(claim, "page €.html", b"<script>", "text/html")
    headers = api.get(f"/tasks/{claim.id}/files/page €.html").headers
    assert headers["content-type"] == "text/html"
    assert headers["content-length"] == "8"
    assert headers["etag"] == f'"{hashlib.sha256(b"<script>").hexdigest()}"'
    assert headers["accept-ranges"] == "bytes"
    assert (
        headers["content-disposition"] == "attachment; filename=\"page _.html\"; filename*=UTF-8''page%20%E2%82%AC.html"
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1000-", 1000, 700_001),
        ("bytes=-10", 699_991, 700_001),
        ("bytes=5-600004", 5, 600_005),
    ],
)
def test_a_range_is_that_part(api: httpx.Client, here: str, asked: str, start: int, end: int) -> None:
    response = api.get(here, headers={"Range": asked})
    assert (response.status_code, response.content) == (206, CONTENT[start:end])
    assert response.headers["content-range"] == f"bytes {start}-{end - 1}/700001"
    assert response.headers["content-length"] == str(end - start)
    assert response.headers["etag"] == ETAG


def test_a_range_beyond_the_end_is_refused(api: httpx.Client, here: str) -> None:
    response = api.get(here, headers={"Range": "bytes=700001-"})
    problem(response, 416, "range-not-satisfiable")
    assert response.headers["content-range"] == "bytes */700001"


def test_a_download_is_resumed_only_with_the_version_that_it_began_with(
    api: httpx.Client, claim: Claim, keep: Keep, here: str
) -> None:
    headers = {"Range": "bytes=700000-", "If-Range": ETAG}
    assert api.get(here, headers=headers).status_code == 206
    keep(claim, "report.pdf", b"another")
    assert (api.get(here, headers=headers).status_code, api.get(here, headers=headers).content) == (200, b"another")


def test_a_client_that_has_the_file_gets_no_bytes(api: httpx.Client, here: str) -> None:
    response = api.get(here, headers={"If-None-Match": f'W/"x", {ETAG}'})
    assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", ETAG)
    assert api.get(here, headers={"If-None-Match": '"x"'}).status_code == 200
    problem(api.get(here, headers={"If-Match": '"x"'}), 412, "precondition-failed")


def test_head_has_the_headers_of_the_whole_and_no_bytes(api: httpx.Client, here: str) -> None:
    for headers in ({}, {"Range": "bytes=1-2"}):
        response = api.head(here, headers=headers)
        assert (response.status_code, response.content) == (200, b"")
        assert response.headers["content-length"] == "700001"
        assert response.headers["etag"] == ETAG
    assert api.head(here, headers={"If-None-Match": ETAG}).status_code == 304
    assert api.get(here).content == CONTENT, "on the same connection"


def test_an_empty_file_is_a_file(api: httpx.Client, claim: Claim, keep: Keep) -> None:
    keep(claim, "empty", b"")
    for method in ("GET", "HEAD"):
        response = api.request(method, f"/tasks/{claim.id}/files/empty")
        assert (response.status_code, response.content, response.headers["content-length"]) == (200, b"", "0")


@pytest.mark.parametrize("name", ["none", "..%2F..%2Fetc%2Fpasswd", "%00", "%2e%2e", "report.pdf%2F", "a" * 900])
def test_names_that_the_task_does_not_have_are_not_found(api: httpx.Client, here: str, name: str) -> None:
    response = api.get(here.replace("report.pdf", name))
    assert response.status_code == 404, response.text
    assert response.headers["content-type"] == "application/problem+json"


def test_files_of_no_task_are_not_found(api: httpx.Client) -> None:
    for path in ("files", "files/a"):
        problem(api.get(f"/tasks/{uuid7()}/{path}"), 404, "task-not-found")
        problem(api.get(f"/tasks/42/{path}"), 404, "task-not-found")


def test_bytes_that_are_missing_are_a_problem_that_says_what_to_share(
    api: httpx.Client, shared_stack: Stack, claim: Claim, keep: Keep
) -> None:
    file = keep(claim, "lost")
    FolderStore(shared_stack.files).delete([file.id])
    document = problem(api.get(f"/tasks/{claim.id}/files/lost"), 503, "file-bytes-missing")
    assert "set LONGRUN_FILES of the API and all workers to one folder" in document["detail"]
    assert str(shared_stack.files) not in str(document)
    assert api.head(f"/tasks/{claim.id}/files/lost").status_code == 503


def test_a_file_that_is_replaced_or_deleted_during_a_download_arrives_whole(
    api: httpx.Client, shared_stack: Stack, claim: Claim, keep: Keep
) -> None:
    content = os.urandom(8 * 2**20)
    first = keep(claim, "large", content)
    path = f"/tasks/{claim.id}/files/large"
    with api.stream("GET", path) as response:
        received = response.iter_bytes()
        begun = next(received)
        keep(claim, "large", b"another")
        FolderStore(shared_stack.files).delete([first.id])
        assert begun + b"".join(received) == content
    assert api.get(path).content == b"another"


def test_a_client_that_goes_away_leaves_no_file_open(
    api_url: str, shared_stack: Stack, claim: Claim, keep: Keep
) -> None:
    file = keep(claim, "large", os.urandom(32 * 2**20))
    [server] = [process for process in shared_stack.processes if process.url == api_url]

    def is_open() -> bool:
        folder = f"/proc/{server.pid}/fd"
        return any(str(file.id) in os.path.realpath(f"{folder}/{number}") for number in os.listdir(folder))

    address = urlsplit(api_url)
    with socket.create_connection((address.hostname, address.port)) as client:
        client.sendall(f"GET /tasks/{claim.id}/files/large HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        until(is_open, what="the file is being read")
    until(lambda: not is_open(), what="the file is closed")
