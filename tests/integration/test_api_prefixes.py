"""The API under a prefix: `/v1`, and the path under which a proxy serves it, with a real nginx in between."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from longrun_local.ports import free_port
from tests.processes import Stack
from tests.waiting import until

TASK = {"task_type": "echo", "input": {}}
ROOT_PATH = "/some/where"
NGINX = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location {root_path}/ {{ proxy_pass {api}{kept}; proxy_set_header Host $http_host; }}
    }}
}}
"""


@pytest.fixture(scope="module", params=["", "/v1"], ids=["bare", "v1"])
def prefix(request: pytest.FixtureRequest) -> str:
    """A prefix of every path."""
    return str(request.param)


def paths(value: Any) -> Iterator[str]:
    """Every link in a document."""
    if isinstance(value, dict):
        yield from (link for link in value.get("links", {}).values())
        for member in value.values():
            yield from paths(member)
    elif isinstance(value, list):
        for item in value:
            yield from paths(item)


def check_links(client: httpx.Client, prefix: str) -> None:
    """Each link of a task and of a schedule, and each Location, begins with the prefix and leads somewhere."""
    accepted = client.post(f"{prefix}/tasks", json=TASK)
    schedule = client.post(
        f"{prefix}/schedules", json={"name": f"s-{accepted.json()['task_id']}", "cron": "0 0 1 1 *", "task": TASK}
    )
    documents = [accepted, schedule, client.get(accepted.headers["location"]), client.get(f"{prefix}/tasks?limit=1")]
    links = [link for response in documents for link in paths(response.raise_for_status().json())]
    links += [accepted.headers["location"], schedule.headers["location"]]
    assert len(links) > 20
    for link in sorted(set(links)):
        assert link.startswith(f"{prefix}/"), link
        assert client.options(link).status_code == 204, link
    cancelled = client.delete(accepted.headers["location"])
    assert {link[: len(prefix) + 1] for link in paths(cancelled.json())} == {f"{prefix}/"}
    client.delete(schedule.headers["location"]).raise_for_status()


def check_docs(client: httpx.Client, prefix: str) -> None:
    """The docs load their files, and the document, from under the prefix."""
    page = client.get(f"{prefix}/", follow_redirects=True)
    assert page.url.path == f"{prefix}/docs"
    files = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text) + re.findall(r"url: '([^']+)'", page.text)
    assert len(files) == 4
    for file in files:
        assert file.startswith(f"{prefix}/"), file
        assert client.get(file).status_code == 200, file


def test_links_keep_the_prefix_that_the_client_used(api: httpx.Client, prefix: str) -> None:
    check_links(api, prefix)
    check_docs(api, prefix)


def test_v1_is_the_same_api(api: httpx.Client) -> None:
    location = api.post("/tasks", json=TASK).headers["location"]
    assert api.get(f"/v1{location}").json()["task_id"] == api.get(location).json()["task_id"]
    assert api.get("/v1/openapi.json").json() == api.get("/openapi.json").json()
    assert api.get("/openapi.json").json()["servers"][0]["url"] == "/v1"


def test_v1_is_a_whole_segment_and_there_is_only_one(api: httpx.Client) -> None:
    for path in ("/v11/tasks", "/v1tasks", "/v1/v1/tasks", "/v2/tasks"):
        assert api.get(path).status_code == 404, path
    assert api.get("/v1/tasks/").json()["detail"].endswith("did you mean /v1/tasks?")


@pytest.fixture(scope="module", params=["kept", "removed"])
def behind_nginx(request: pytest.FixtureRequest, shared_stack: Stack, tmp_path_factory: Any) -> Iterator[httpx.Client]:
    """A client of the API behind nginx, which keeps the prefix of a path, or removes it."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    api = shared_stack.api(env={"LONGRUN_ROOT_PATH": ROOT_PATH})
    folder: Path = tmp_path_factory.mktemp("nginx")
    port, kept = free_port(), "" if request.param == "kept" else "/"
    text = CONFIGURATION.format(folder=folder, port=port, api=api.url, root_path=ROOT_PATH, kept=kept)
    (folder / "nginx.conf").write_text(text)
    nginx = subprocess.Popen(
        [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            until(lambda: _is_up(client), what="nginx answers")
            yield client
    finally:
        nginx.terminate()
        nginx.wait()
        api.kill_group()


def _is_up(client: httpx.Client) -> bool:
    try:
        return client.get(f"{ROOT_PATH}/healthz").is_success
    except httpx.TransportError:
        return False


def test_behind_a_proxy_every_path_has_its_prefix(behind_nginx: httpx.Client, prefix: str) -> None:
    check_links(behind_nginx, ROOT_PATH + prefix)
    check_docs(behind_nginx, ROOT_PATH + prefix)


def test_behind_a_proxy_the_document_names_the_prefix(behind_nginx: httpx.Client) -> None:
    document = behind_nginx.get(f"{ROOT_PATH}/openapi.json").json()
    assert [server["url"] for server in document["servers"]] == [f"{ROOT_PATH}/v1"]


def test_behind_a_proxy_a_stream_arrives_as_it_happens(behind_nginx: httpx.Client) -> None:
    location = behind_nginx.post(f"{ROOT_PATH}/tasks", json=TASK).headers["location"]
    with behind_nginx.stream("GET", f"{location}/stream") as response:
        lines = response.iter_lines()
        assert next(lines) == "event: state"
        behind_nginx.delete(location).raise_for_status()
        assert any("CANCELLED" in line for line in lines)


def test_behind_a_proxy_an_unknown_path_and_a_wrong_method_are_told_so(behind_nginx: httpx.Client) -> None:
    missing = behind_nginx.get(f"{ROOT_PATH}/nowhere")
    assert (missing.status_code, f"{ROOT_PATH}/nowhere" in missing.json()["detail"]) == (404, True)
    wrong = behind_nginx.put(f"{ROOT_PATH}/v1/tasks")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST")
