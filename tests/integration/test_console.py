"""The console without a browser: who gets in, what a form needs, and that pages show what the API has."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from longrun_api.auth.sessions import COOKIE
from longrun_api.console import assets
from tests.integration.hand_worker import HandWorker
from tests.integration.keyed import KeyedApi, unless_cut
from tests.servers import execute
from tests.waiting import until

HTML = {"Accept": "text/html"}
TOKEN = re.compile('name="form_token" value="([^"]*)"')
PAGES = ("", "/jobs", "/queues", "/workers", "/schedules", "/webhooks", "/keys", "/audit-log")


def token_of(page: httpx.Response) -> str:
    """The token of the forms of a page."""
    found = TOKEN.search(page.text)
    assert found is not None, page.text
    return found[1]


@contextmanager
def browser(keyed: KeyedApi, key: str | None = None) -> Iterator[httpx.Client]:
    """A client that keeps cookies, signed in with this key."""
    with httpx.Client(base_url=keyed.url, headers=HTML, follow_redirects=True, timeout=30) as client:
        if key is not None:
            token = token_of(client.get("/console/sign-in"))
            page = client.post("/console/sign-in", data={"key": key, "form_token": token})
            assert page.url.path == "/console", page.text
        yield client


def test_a_browser_is_led_to_the_console_and_a_program_to_the_docs(api: httpx.Client) -> None:
    assert api.get("/", headers=HTML).headers["location"] == "/console"
    assert api.get("/").headers["location"] == "/docs"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_needs_a_session_and_leads_back_after_signing_in(keyed: KeyedApi, path: str) -> None:
    with browser(keyed) as client:
        shown = client.get(f"/console{path}", params={"a": "b"})
        assert shown.url.path == "/console/sign-in"
        form = {"key": keyed.admin_key, "form_token": token_of(shown), "next": shown.url.params["next"]}
        answer = client.post("/console/sign-in", data=form, follow_redirects=False)
        assert answer.headers["location"] == f"/console{path}?a=b"


def test_the_cookie_holds_no_key_and_opens_nothing_but_the_console(keyed: KeyedApi) -> None:
    with browser(keyed) as client:
        form = {"key": keyed.admin_key, "form_token": token_of(client.get("/console/sign-in"))}
        cookie = client.post("/console/sign-in", data=form, follow_redirects=False).headers["set-cookie"]
        assert {"HttpOnly", "SameSite=lax", "Path=/console"} <= {part.strip() for part in cookie.split(";")}
        assert "Secure" not in cookie
        assert keyed.admin_key not in cookie
        client.cookies.clear()
        behind = {"Origin": keyed.url.replace("http:", "https:")}  # a proxy that ends TLS
        secured = client.post("/console/sign-in", data=form, headers=behind, follow_redirects=False)
        assert "; Secure" in secured.headers["set-cookie"]
        value = cookie.partition(";")[0].partition("=")[2]
        kept = {"Cookie": f"{COOKIE}={value}"}
        assert client.get("/console/jobs", headers=kept).url.path == "/console/jobs"
        assert client.get("/tasks", headers=kept).status_code == httpx.codes.UNAUTHORIZED


@pytest.mark.parametrize("value", ["", "x", "W10.AAAA", '"', "lr_" + "a" * 60])
def test_a_cookie_that_nobody_signed_opens_nothing(keyed: KeyedApi, value: str) -> None:
    with browser(keyed) as client:
        shown = client.get("/console/jobs", headers={"Cookie": f"{COOKIE}={value}"})
        assert shown.url.path == "/console/sign-in"


def test_a_wrong_key_says_so_and_begins_no_session(keyed: KeyedApi) -> None:
    with browser(keyed) as client:
        form = {"key": "lr_nothing", "form_token": token_of(client.get("/console/sign-in"))}
        page = client.post("/console/sign-in", data=form)
        assert (page.status_code, "set-cookie" in page.headers) == (401, False)
        assert "unknown, expired or revoked" in page.text


def test_a_revoked_key_ends_its_session(keyed: KeyedApi) -> None:
    made = keyed.make("read")
    with browser(keyed, made["key"]) as client:
        assert client.get("/console/jobs").url.path == "/console/jobs"
        keyed.admin.delete(f"/keys/{made['id']}").raise_for_status()
        until(lambda: unless_cut(lambda: client.get("/console/jobs").url.path == "/console/sign-in"))


def test_signing_out_ends_the_session_and_the_open_requests_of_it(keyed: KeyedApi) -> None:
    task = keyed.admin.post("/tasks", json={"task_type": "echo", "input": {}}).json()["task_id"]
    with browser(keyed, keyed.admin_key) as client, browser(keyed) as thief:
        thief.cookies.set(COOKIE, client.cookies[COOKIE])
        form = {"form_token": token_of(client.get("/console"))}
        with thief.stream("GET", f"/console/jobs/{task}/stream") as stream:
            assert stream.status_code == 200
            page = client.post("/console/sign-out", data=form)
            assert (page.url.path, COOKIE in client.cookies) == ("/console/sign-in", False)
            with pytest.raises(httpx.TransportError):
                stream.read()
        assert thief.get("/console/jobs").url.path == "/console/sign-in"
        refreshed = thief.get("/console/jobs", headers={"HX-Request": "true"})
        assert refreshed.status_code == httpx.codes.UNAUTHORIZED  # so that the script leads to the page for signing in
        again = client.post("/console/sign-out", data={"form_token": token_of(page)})  # in another tab
        assert again.url.path == "/console/sign-in"


@pytest.mark.parametrize(
    "wanted", ["https://evil.test/", "//evil.test", "/docs", "/consoles", "/console\\@evil.test/\n"]
)
def test_signing_in_leads_to_no_other_site(keyed: KeyedApi, wanted: str) -> None:
    with browser(keyed) as client:
        shown = client.get("/console/sign-in", params={"next": wanted})
        form = {"key": keyed.admin_key, "form_token": token_of(shown), "next": wanted}
        answer = client.post("/console/sign-in", data=form, follow_redirects=False)
        assert answer.headers["location"] == "/console"


def test_a_form_of_another_session_changes_nothing(keyed: KeyedApi) -> None:
    others = keyed.make("admin")["key"]
    task = keyed.admin.post("/tasks", json={"task_type": "echo", "input": {}}).json()["task_id"]
    with browser(keyed, keyed.admin_key) as client, browser(keyed, others) as other:
        foreign = token_of(other.get("/console"))
        for form in ({}, {"form_token": ""}, {"form_token": foreign}):
            answer = client.post(f"/console/jobs/{task}/cancel", data=form)
            assert answer.status_code in (403, 415), answer.text
        assert keyed.admin.get(f"/tasks/{task}").json()["status"] == "PENDING"
        own = {"form_token": token_of(client.get("/console"))}
        assert client.post(f"/console/jobs/{task}/cancel", data=own).status_code == 200
        assert keyed.admin.get(f"/tasks/{task}").json()["status"] == "CANCELLED"


def test_an_owner_sees_and_stops_what_is_its_own_alone(keyed: KeyedApi) -> None:
    alice, bob = (keyed.make("read", "submit", "cancel", owner=owner)["key"] for owner in ("alice", "bob"))
    with keyed.client(alice) as client:
        task = client.post("/tasks", json={"task_type": "echo", "input": {"secret": "hers"}}).json()["task_id"]
    with browser(keyed, bob) as client:
        assert task not in client.get("/console/jobs").text
        form = {"form_token": token_of(client.get("/console"))}
        for answer in (
            client.get(f"/console/jobs/{task}"),
            client.get(f"/console/jobs/{task}/again"),
            client.get(f"/console/jobs/{task}/stream"),
            client.post(f"/console/jobs/{task}/cancel", data=form),
            client.post(f"/console/jobs/{task}/again", data={**form, "input": "{}"}),
        ):
            assert answer.status_code == httpx.codes.NOT_FOUND
            assert "hers" not in answer.text
        for path in ("/queues", "/workers", "/webhooks", "/keys", "/audit-log"):
            assert client.get(f"/console{path}").status_code == httpx.codes.FORBIDDEN
    with browser(keyed, alice) as client:
        assert task in client.get("/console/jobs").text
        assert "hers" in client.get(f"/console/jobs/{task}").text


def test_a_reader_is_offered_no_act(keyed: KeyedApi) -> None:
    task = keyed.admin.post("/tasks", json={"task_type": "echo", "input": {}}).json()["task_id"]
    with browser(keyed, keyed.make("read")["key"]) as client:
        assert "Cancel" not in client.get("/console/jobs").text
        page = client.get(f"/console/jobs/{task}")
        assert "Submit again" not in page.text
        answer = client.post(f"/console/jobs/{task}/cancel", data={"form_token": token_of(page)})
        assert answer.status_code == httpx.codes.FORBIDDEN
        assert "needs the scope cancel" in answer.text


def test_every_page_has_a_policy_that_runs_only_files_of_this_server(api: httpx.Client) -> None:
    for path in (*PAGES[:5], "/jobs?limit=1", "/nowhere", "/jobs/x"):
        page = api.get(f"/console{path}")
        policy = ", ".join(page.headers.get_list("content-security-policy"))
        assert "default-src 'none'" in policy, path
        assert "unsafe" not in policy
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert not re.search(r"<[^>]+\s(style|on\w+)\s*=", page.text)
        assert not re.search("<script(?! src=)", page.text)


def test_the_scripts_of_a_page_are_small_and_kept_by_caches(api: httpx.Client) -> None:
    scripts = [asset for name, asset in assets.ASSETS.items() if name.endswith(".js")]
    assert sum(len(asset.gzipped) for asset in scripts) <= 40 * 1024
    answer = api.get(f"/console/assets/{scripts[0].served_as}")
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert api.get("/console/assets/0.console.js").status_code == httpx.codes.NOT_FOUND


def test_the_list_is_that_of_the_api(api: httpx.Client, worker: HandWorker, submit: Callable[..., str]) -> None:
    mine = [submit(tags=["mine"]).rpartition("/")[2] for _ in range(3)]
    others = submit().rpartition("/")[2]
    page = api.get("/console/jobs", params={"queue": worker.queue, "tag": "mine"}).text
    assert [page.index(f"/console/jobs/{task}") for task in mine[::-1]] == sorted(
        page.index(f"/console/jobs/{task}") for task in mine
    )
    assert others not in page


def test_empty_fields_and_times_without_a_zone_become_an_address_of_the_api(api: httpx.Client) -> None:
    given = {"queue": "", "created_after": "2026-01-02T03:04"}
    page = api.get("/console/jobs", params=given, follow_redirects=True)
    assert page.url.query == b"created_after=2026-01-02T03%3A04%3A00Z"
    assert page.status_code == 200


def test_what_the_api_refuses_of_a_filter_is_said_at_its_field(api: httpx.Client) -> None:
    for given, said in ({"metadata": "["}, "must be a JSON object"), ({"colour": "red"}, "unknown parameter"):
        page = api.get("/console/jobs", params=given)
        assert (page.status_code, said in page.text) == (422, True)


def test_acting_on_all_that_match_counts_them_first(
    api: httpx.Client, worker: HandWorker, submit: Callable[..., str]
) -> None:
    here = [submit() for _ in range(3)]
    form = {"act": "cancel", "matching": "1", "filter": f"queue={worker.queue}"}
    form["form_token"] = token_of(api.get("/console/jobs"))
    asked = api.post("/console/jobs", data=form)
    assert "Cancel 3 jobs" in asked.text
    assert {api.get(path).json()["status"] for path in here} == {"PENDING"}
    done = api.post("/console/jobs", data={**form, "sure": "1"})
    assert "3 of 3 jobs were changed" in done.text
    assert {api.get(path).json()["status"] for path in here} == {"CANCELLED"}


def test_a_job_is_submitted_again_with_another_input(
    api: httpx.Client, worker: HandWorker, submit: Callable[..., str]
) -> None:
    task = submit(task_type="sleep", input={"seconds": 1, "steps": 2}, tags=["kept"]).rpartition("/")[2]
    here = f"/console/jobs/{task}/again"
    form = {"form_token": token_of(api.get(here)), "input.steps": "2", "queue": worker.queue, "tags": '["kept"]'}
    for seconds, message in (("x", "is no JSON"), ("-1", "greater than or equal to 0"), ("", "is required")):
        wrong = api.post(here, data={**form, "input.seconds": seconds})
        shown = re.search('id="e-input.seconds">([^<]*)<', wrong.text)
        assert shown is not None, wrong.text
        assert message in shown[1]
    for field, value, message in (("priority", "10", "less than or equal to 9"), ("tags", "kept", "is no JSON")):
        wrong = api.post(here, data={**form, "input.seconds": "3", field: value})
        shown = re.search(f'id="e-{field}">([^<]*)<', wrong.text)
        assert shown is not None, wrong.text
        assert message in shown[1]
    made = api.post(here, data={**form, "input.seconds": "3"})
    new: dict[str, Any] = api.get(f"/tasks/{made.headers['location'].rpartition('/')[2]}").json()
    assert (new["input"], new["queue"], new["tags"]) == ({"seconds": 3, "steps": 2}, worker.queue, ["kept"])


def test_a_queue_is_paused_and_limited(api: httpx.Client, worker: HandWorker) -> None:
    form = {"form_token": token_of(api.get("/console/queues"))}
    here = f"/console/queues/{worker.queue}"
    assert api.post(here, data={**form, "act": "pause"}).status_code == 303
    assert api.post(here, data={**form, "act": "limit", "max_running": "7"}).status_code == 303
    rate = {**form, "act": "rate", "max_starts": "9", "window_s": "2.5"}
    assert api.post(here, data=rate).status_code == 303
    queue = api.get(f"/queues/{worker.queue}").json()
    assert (queue["paused"], queue["max_running"]) == (True, 7)
    assert (queue["rate_limit"]["max_starts"], queue["rate_limit"]["window_s"]) == (9, 2.5)
    assert "window_s" in api.post(here, data={**rate, "window_s": ""}).text
    assert api.post(here, data={**rate, "max_starts": "", "window_s": ""}).status_code == 303
    assert api.get(f"/queues/{worker.queue}").json()["rate_limit"] is None
    assert "greater than or equal to 0" in api.post(here, data={**form, "act": "limit", "max_running": "-1"}).text


def test_a_schedule_is_edited_where_it_was_changed_and_nowhere_else(api: httpx.Client, worker: HandWorker) -> None:
    task = {"task_type": "echo", "input": {"a": 1}, "queue": worker.queue}
    body = {"name": worker.queue, "cron": "0 0 1 1 *", "task": task, "start_deadline_s": 60}
    schedule = api.post("/schedules", json=body).raise_for_status().json()["schedule_id"]
    here = f"/console/schedules/{schedule}/edit"
    fields = {"cron": "5 0 1 1 *", "timezone": "UTC", "overlap": "skip", "missed_runs": "run_once"}
    form = {"form_token": token_of(api.get(here)), **fields, "max_missed_runs": "10", "start_deadline_s": ""}
    for wrong, field, message in (
        ({"cron": "x"}, "cron", "is not a cron expression"),
        ({"task": "{"}, "task", "is no JSON"),
        ({"task": json.dumps({**task, "input": "x"})}, "task.input", "should be an object"),
    ):
        page = api.post(here, data={**form, "task": json.dumps(task), **wrong})
        assert (page.status_code, field in page.text, message in page.text) == (422, True, True), page.text
    assert api.post(here, data={**form, "task": json.dumps(task)}).headers["location"] == "/console/schedules"
    changed = api.get(f"/schedules/{schedule}").json()
    assert (changed["cron"], changed["start_deadline_s"], changed["task"]) == ("5 0 1 1 *", None, task)


def test_a_webhook_is_tried_and_disabled(api: httpx.Client) -> None:
    body = {"url": "https://receiver.example/", "events": ["task.failed"]}
    webhook = api.post("/webhooks", json=body).raise_for_status().json()["webhook_id"]
    here, form = f"/console/webhooks/{webhook}", {"form_token": token_of(api.get("/console/queues"))}
    assert here in api.get("/console/webhooks").text
    for act in ("ping", "disable"):
        assert api.post(here, data={**form, "act": act}).status_code == 303
    page = api.get(here).text
    assert ("webhook.ping" in page, "Enable" in page) == (True, True)
    assert api.get(f"/webhooks/{webhook}").json()["enabled"] is False


def test_the_beginning_of_an_id_finds_its_job(api: httpx.Client, submit: Callable[..., str]) -> None:
    first, second = (submit().rpartition("/")[2] for _ in range(2))
    page = api.get("/console/jobs", params={"id_prefix": first}).text
    assert (f"/console/jobs/{first}" in page, f"/console/jobs/{second}" in page) == (True, False)
    form = {"form_token": token_of(api.get("/console/jobs")), "act": "cancel", "matching": "1"}
    asked = api.post("/console/jobs", data={**form, "filter": f"id_prefix={first}", "sure": "1"})
    assert asked.status_code == 422  # a bulk action does not know it, and must not act on more
    assert api.get(f"/tasks/{second}").json()["status"] == "PENDING"


def test_pages_and_files_are_under_the_prefix_of_a_proxy(shared_stack: Any) -> None:
    traces = "https://traces.example/trace/{trace_id}"
    process = shared_stack.api(env={"LONGRUN_ROOT_PATH": "/longrun", "LONGRUN_TRACE_URL": traces})
    with httpx.Client(base_url=process.url, headers=HTML, timeout=30) as client:
        assert client.get("/longrun/").headers["location"] == "/longrun/console"
        page = client.get("/longrun/console")
        assert page.status_code == 200
        for address in re.findall('(?:href|src|action)="(/[^"]*)"', page.text):
            assert address.startswith("/longrun/"), address
            assert client.get(address).status_code == 200, address
        trace = "0af7651916cd43dd8448eb211c80319c"
        made = client.post("/longrun/tasks", json={"task_type": "echo", "input": {}}).json()
        traced = f"traceparent = '00-{trace}-b7ad6b7169203331-01'"
        execute(shared_stack.database_url, f"UPDATE longrun.jobs SET {traced} WHERE id = '{made['task_id']}'")
        page = client.get(f"/longrun/console/jobs/{made['task_id']}")
        assert f'href="https://traces.example/trace/{trace}"' in page.text
