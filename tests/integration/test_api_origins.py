"""What a page in a browser can do to an API that its user can reach: read the API's own pages, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.integration.raw_http import exchange, get, request
from tests.integration.test_api_submit import problem
from tests.processes import Stack

SCHEDULE = {
    "name": "nightly",
    "cron": "0 0 1 1 *",
    "task": {"task_type": "echo", "input": {}},
}
FOREIGN = [
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost:1"},
    {"origin": "http://127.0.0.1"},
    {"origin": "https://localhost.evil.example"},
    {"origin": "chrome-extension://abcdefgh"},
    {"origin": ""},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "something-new"},
    {"origin": "http://evil.example", "sec-fetch-site": "cross-site"},
    {"origin": "http://evil.example", "sec-fetch-site": "same-origin"},
]
UNSAFE = [
    ("POST", "/tasks"),
    ("DELETE", "/tasks/{task}"),
    ("POST", "/tasks/{task}/retry"),
    ("POST", "/schedules"),
    ("PATCH", "/schedules/nightly"),
    ("POST", "/schedules/nightly/run"),
    ("POST", "/schedules/nightly/pause"),
    ("POST", "/schedules/nightly/resume"),
    ("DELETE", "/schedules/nightly"),
    ("PATCH", "/queues/default"),
    ("PUT", "/concurrency-limits/key"),
    ("DELETE", "/concurrency-limits/key"),
]


@pytest.fixture(scope="module")
def task(api_url: str) -> str:
    """The id of a task that was cancelled, beside the schedule `nightly`."""
    with httpx.Client(base_url=api_url, timeout=30) as client:
        client.post("/schedules", json=SCHEDULE).raise_for_status()
        task_id = client.post("/tasks", json={"task_type": "echo", "input": {}}).json()["task_id"]
        client.delete(f"/tasks/{task_id}").raise_for_status()
        return str(task_id)


@pytest.fixture(scope="module")
def open_api(shared_stack: Stack) -> Iterator[httpx.Client]:
    """An API whose operator allows a name and an origin."""
    env = {
        "LONGRUN_ALLOWED_HOSTS": "longrun.example, *.inside.example",
        "LONGRUN_ALLOWED_ORIGINS": "https://ui.example",
    }
    with httpx.Client(base_url=shared_stack.api(env=env).url) as client:
        yield client


@pytest.mark.parametrize("method_and_path", UNSAFE, ids=" ".join)
@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_page_of_another_origin_changes_nothing(
    api: httpx.Client, task: str, method_and_path: tuple[str, str], headers: dict[str, str]
) -> None:
    method, path = method_and_path
    response = api.request(method, path.format(task=task), headers=headers)
    problem(response, 403, "foreign-origin")
    assert api.get("/schedules/nightly").json()["paused"] is False
    assert len(api.get("/tasks").json()["items"]) == 1


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_of_another_origin_submits_nothing(api: httpx.Client, kind: str) -> None:
    content = b'{"task_type": "echo", "input": {}}'
    response = api.post("/tasks", content=content, headers={"content-type": kind, "origin": "http://evil.example"})
    problem(response, 403, "foreign-origin")


def test_the_apis_own_pages_and_clients_that_are_no_browsers_may_change_things(api: httpx.Client) -> None:
    here = str(api.base_url).rstrip("/")
    for headers in [
        {},
        {"origin": here},
        {"origin": here.upper(), "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
    ]:
        assert api.patch("/queues/default", json={"paused": False}, headers=headers).status_code == 200


def test_what_changes_nothing_may_be_asked_by_any_page(api: httpx.Client) -> None:
    headers = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
    response = api.get("/tasks", headers=headers)
    assert response.status_code == 200
    assert not [name for name in response.headers if name.startswith("access-control-")]


def test_an_origin_that_the_operator_names_may_change_things(open_api: httpx.Client) -> None:
    headers = {"origin": "https://ui.example", "sec-fetch-site": "cross-site"}
    assert open_api.patch("/queues/default", json={"paused": False}, headers=headers).status_code == 200
    headers = {"origin": "http://ui.example"}
    problem(open_api.patch("/queues/default", json={"paused": False}, headers=headers), 403, "foreign-origin")


def test_behind_a_proxy_the_origin_is_compared_with_the_name_that_was_asked_for(open_api: httpx.Client) -> None:
    for host, origin in [
        ("longrun.example", "https://longrun.example"),
        ("longrun.example:80", "http://longrun.example"),
    ]:
        response = open_api.patch("/queues/default", json={"paused": False}, headers={"host": host, "origin": origin})
        assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]"],
)
def test_a_page_that_rebinds_its_name_to_this_address_gets_nothing(api: httpx.Client, host: str) -> None:
    headers = {"host": host.format(port=api.base_url.port), "x-forwarded-host": "localhost"}
    for method, path in [("GET", "/tasks"), ("POST", "/tasks"), ("GET", "/docs"), ("GET", "/"), ("OPTIONS", "/tasks")]:
        problem(api.request(method, path, headers=headers), 421, "host-not-allowed")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1234", "localhost.", "127.0.0.1", "127.0.0.1:8000", "[::1]:8000", "[0:0::1]"]
)
def test_loopback_names_are_this_machine(api: httpx.Client, host: str) -> None:
    assert api.get("/tasks", headers={"host": host}).status_code == 200


def test_names_are_those_the_operator_gives(open_api: httpx.Client) -> None:
    for host, status in [
        ("longrun.example", 200),
        ("Longrun.Example:8443", 200),
        ("a.inside.example", 200),
        ("a.b.inside.example", 200),
        ("inside.example", 421),
        ("xinside.example", 421),
        ("www.longrun.example", 421),
    ]:
        assert open_api.get("/tasks", headers={"host": host}).status_code == status, host


def test_a_star_answers_to_any_name(shared_stack: Stack) -> None:
    url = shared_stack.api(env={"LONGRUN_ALLOWED_HOSTS": "*"}).url
    assert httpx.get(f"{url}/tasks", headers={"host": "anything.example"}).status_code == 200


def test_the_address_that_a_client_connects_to_is_a_name_of_the_server(shared_stack: Stack) -> None:
    # 127.0.0.2 stands for the address of a pod: it is on this machine, and is no name of the loopback
    url = shared_stack.api(env={"LONGRUN_ALLOWED_HOSTS": "", "LONGRUN_AUTH": "proxy"}, host="0.0.0.0").url.replace(
        "127.0.0.1", "127.0.0.2"
    )
    assert httpx.get(f"{url}/tasks").status_code == 200
    assert httpx.get(f"{url}/tasks", headers={"host": "127.0.0.3"}).status_code == 421


@pytest.mark.parametrize("probe", ["/healthz", "/readyz"])
def test_probes_are_answered_under_any_name(api: httpx.Client, probe: str) -> None:
    assert api.get(probe, headers={"host": "10.244.0.17:8000"}).status_code == 200


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        ["Host: localhost", "Host: localhost"],
        ["Host: localhost", "Host: evil.example"],
        ["Host: "],
        ["Host: local host"],
        ["Host: localhost, evil.example"],
        ["Host: localhost/tasks"],
        ["Host: user@localhost"],
        ["Host: localhost:port"],
        ["Host: localhost:99999"],
        ["Host: [::1"],
        ["Host: [::g]"],
    ],
    ids=str,
)
def test_a_request_says_once_which_host_it_is_for(api_url: str, hosts: list[str]) -> None:
    for path in ("/tasks", "/healthz"):
        answer = exchange(api_url, get(path, *hosts))
        assert (answer.status, answer.slug) == (400, "bad-host")


def test_http_1_0_knows_no_host(api_url: str) -> None:
    assert exchange(api_url, request("GET", "/healthz", version="1.0")).status == 200


def test_a_whole_url_in_the_request_line_counts_more_than_host(api_url: str) -> None:
    here = urlsplit(api_url).netloc
    assert exchange(api_url, get(f"http://{here}/tasks", "Host: evil.example")).status == 200
    assert exchange(api_url, get("http://evil.example/tasks", f"Host: {here}")).slug == "host-not-allowed"
