"""The console in Chromium: each flow by clicking, live jobs, hostile data, small screens, and accessibility.

A violation of the policy, an error of a script, or a request to another host fails every test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from longrun_local.ports import free_port
from tests.chromium import PROGRAM, chromium, complaints
from tests.integration.hand_worker import HandWorker
from tests.integration.keyed import KeyedApi
from tests.processes import Stack
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs Chromium (apt-get install chromium)")
expect.set_options(timeout=PATIENCE_S * 1000)

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    '"><svg/onload=alert(3)>',
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(4)",
    "\x1b[31mred\x1b[0m\x07\u0000".replace("\u0000", ""),
    "\u202egnp.exe\u202c\u2066\u200b\ufeff",
    "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd",
    "\ud83d\udca9\u0301\u0301".encode("utf-16", "surrogatepass").decode("utf-16"),
    "W" * 3_000,
]
Finish = Callable[..., None]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser, api_url: str) -> Iterator[Page]:
    """A page of the shared API that must not complain about anything."""
    context = browser.new_context(base_url=api_url, permissions=["clipboard-read", "clipboard-write"])
    context.set_default_timeout(PATIENCE_S * 1000)
    opened = context.new_page()
    said = complaints(opened, api_url)
    yield opened
    context.close()
    assert not said


def is_within(page: Page) -> bool:
    """Whether nothing of the page is wider than the screen."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def serious(page: Page, **options: Any) -> list[Any]:
    """What axe finds serious or critical."""
    found = Axe().run(page, options={"resultTypes": ["violations"], **options}).response["violations"]
    return [
        (each["id"], each["nodes"][0]["html"], each["nodes"][0]["failureSummary"])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


def test_a_person_signs_in_and_out(browser: Browser, keyed: KeyedApi) -> None:
    context = browser.new_context(base_url=keyed.url)
    opened = context.new_page()
    said = complaints(opened, keyed.url)
    opened.goto("/console/jobs?status=FAILED")
    opened.get_by_label("API key or token").fill(keyed.admin_key)
    opened.get_by_role("button", name="Sign in").click()
    expect(opened).to_have_url(f"{keyed.url}/console/jobs?status=FAILED")
    assert opened.evaluate("document.cookie") == ""
    opened.get_by_role("link", name="Keys").click()
    expect(opened.get_by_role("heading", name="API keys")).to_be_visible()
    assert serious(opened) == []
    opened.get_by_role("button", name="Sign out").click()
    expect(opened.get_by_role("heading", name="Sign in")).to_be_visible()
    assert serious(opened) == []
    opened.goto("/console/keys")
    expect(opened.get_by_role("heading", name="Sign in")).to_be_visible()
    context.close()
    assert not said


def test_a_job_is_followed_live_to_its_end(page: Page, worker: HandWorker, submit: Callable[..., str]) -> None:
    task = submit().rpartition("/")[2]
    page.goto(f"/console/jobs/{task}")
    expect(page.get_by_text("Why it does not run")).to_be_visible()
    expect(page.locator("#live")).to_have_text("live")
    claim = worker.claim()
    expect(page.locator("#facts .head .status")).to_contain_text("RUNNING")
    worker.log(claim, "the first line")
    expect(page.locator("#log")).to_contain_text("the first line")
    worker.progress(claim, 4)
    expect(page.locator("#done")).to_have_text("4 / 10")
    worker.say(claim, "output", {"name": "row", "data": {"n": 1}})
    expect(page.locator("#output")).to_contain_text('{"n":1}')
    worker.log(claim, "the last line")
    worker.finish(claim)
    expect(page.locator("#facts .head .status")).to_contain_text("SUCCESS")
    expect(page.locator("#log li")).to_have_count(2)
    expect(page.locator("#live")).to_be_hidden()


def test_a_page_goes_on_when_the_server_restarts(browser: Browser, stack: Stack) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = stack.api(port=port)
    with HandWorker(stack.database_url, stack.redis_url, "restart") as worker:
        body = {"task_type": "echo", "input": {}, "queue": "restart"}
        task = httpx.post(f"{url}/tasks", json=body).json()["task_id"]
        claim = worker.claim()
        opened = browser.new_page(base_url=url)
        opened.goto(f"/console/jobs/{task}")
        expect(opened.locator("#live")).to_have_text("live")
        process.terminate()
        process.wait()
        expect(opened.locator("#live")).to_have_text("reconnecting")
        worker.log(claim, "said meanwhile")
        stack.api(port=port)
        expect(opened.locator("#log")).to_contain_text("said meanwhile")
        assert opened.locator("#log li").count() == 1
        opened.close()


def test_a_job_is_cancelled_and_its_receipt_grows(page: Page, worker: HandWorker, submit: Callable[..., str]) -> None:
    task = submit().rpartition("/")[2]
    claim = worker.claim()
    page.goto(f"/console/jobs/{task}")
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_text("still stopping")).to_be_visible()
    worker.stopped(claim.id, claim.fence, "cooperative")
    expect(page.get_by_text("cooperative")).to_be_visible()
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.locator("#facts .head .status")).to_contain_text("PENDING")


def test_jobs_are_filtered_picked_and_cancelled(
    page: Page, api: httpx.Client, worker: HandWorker, submit: Callable[..., str]
) -> None:
    tasks = [submit(tags=["picked" if number else "left"]).rpartition("/")[2] for number in range(3)]
    page.goto("/console/jobs")
    page.get_by_label("Queue").fill(worker.queue)
    page.get_by_label("Tag").fill("picked")
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(re.compile(rf"/console/jobs\?queue={worker.queue}&tag=picked$"))
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_role("link", name="PENDING 2").click()
    page.get_by_role("button", name=f"Copy the id {tasks[1]}").click()
    until(lambda: page.evaluate("navigator.clipboard.readText()") == tasks[1])
    page.get_by_label(f"Pick {tasks[1]}").check()
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Cancel 1 jobs").click()
    expect(page.get_by_role("status")).to_have_text("1 of 1 jobs were changed.")
    page.get_by_role("link", name="Back to the list").click()
    page.get_by_label("All that match").check()
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Cancel 1 jobs").click()
    expect(page.get_by_role("status")).to_have_text("1 of 1 jobs were changed.")
    assert [api.get(f"/tasks/{task}").json()["status"] for task in tasks] == ["PENDING", "CANCELLED", "CANCELLED"]


def test_a_queue_is_paused_and_a_schedule_runs(
    page: Page, api: httpx.Client, worker: HandWorker, submit: Callable[..., str]
) -> None:
    submit()
    page.goto("/console/queues")
    row = page.get_by_role("row").filter(has_text=worker.queue)
    row.get_by_role("button", name="Pause").click()
    expect(row.get_by_text("paused")).to_be_visible()
    assert api.get(f"/queues/{worker.queue}").json()["paused"]
    task = {"task_type": "echo", "input": {}, "queue": worker.queue}
    api.post("/schedules", json={"name": worker.queue, "cron": "0 0 1 1 *", "task": task}).raise_for_status()
    page.goto("/console/queues")
    row.get_by_label(f"Most jobs of {worker.queue} that start within the window").fill("5")
    row.get_by_label(f"Window of {worker.queue} in seconds").fill("60")
    row.get_by_role("button", name="Set").last.click()
    expect(row.get_by_label(f"Window of {worker.queue} in seconds")).to_have_value("60")
    page.goto("/console/schedules")
    page.get_by_role("link", name=f"Edit {worker.queue}").click()
    page.get_by_label("Cron").fill("5 0 1 1 *")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("row").filter(has_text=worker.queue)).to_contain_text("5 0 1 1 *")
    page.get_by_role("row").filter(has_text=worker.queue).get_by_role("button", name="Run now").click()
    expect(page.get_by_role("heading", name="echo")).to_be_visible()


def test_a_job_is_made_from_scratch_and_then_again(page: Page, api: httpx.Client, worker: HandWorker) -> None:
    page.goto("/console/jobs")
    page.get_by_role("link", name="New job…").click()
    page.get_by_role("link", name="sleep", exact=True).click()
    page.get_by_label("Seconds").fill("-1")
    page.get_by_label("Queue").fill(worker.queue)
    page.get_by_label("Tags").fill('["made"]')
    page.get_by_label("Delay").fill("60")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("greater than or equal to 0")).to_be_visible()
    page.get_by_label("Seconds").fill("1.5")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="sleep")).to_be_visible()
    page.get_by_role("link", name="Submit again…").click()
    page.get_by_label("Seconds").fill("2.5")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="sleep")).to_be_visible()
    made = api.get("/tasks", params={"queue": worker.queue}).json()["items"]
    tasks = [api.get(f"/tasks/{each['task_id']}").json() for each in made]
    assert [(task["tags"], task["input"]["seconds"]) for task in tasks] == [(["made"], 2.5), (["made"], 1.5)]


def test_hostile_data_is_shown_and_does_nothing(
    page: Page, worker: HandWorker, submit: Callable[..., str], api: httpx.Client
) -> None:
    evil = {f"k{number}": text for number, text in enumerate(HOSTILE)}
    tags = [text[:60] for text in HOSTILE if text.isprintable()]
    task = submit(input=evil, metadata=evil, tags=tags, dedupe_key=HOSTILE[0]).rpartition("/")[2]
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"/console/jobs/{task}")
    expect(page.locator("#live")).to_have_text("live")
    claim = worker.claim()
    for text in HOSTILE:
        worker.log(claim, text)
        worker.say(claim, "output", {"name": text[:40], "data": text})
    worker.say(claim, "output", {"name": "large", "data": "x" * 1_000_000})
    worker.say(claim, "progress", {"done": 1, "total": 2, "message": " ".join(HOSTILE)[:900]})
    worker.fail(claim, " ".join(HOSTILE))
    expect(page.locator("#facts .head .status")).to_contain_text("FAILED")
    live = page.locator("#log .said").all_inner_texts()
    for address in (f"/console/jobs/{task}", f"/console/jobs?queue={worker.queue}", "/console"):
        page.goto(address)
        assert is_within(page), address
        assert page.locator("main script, main img, main svg[onload], main iframe").count() == 0
    page.goto(f"/console/jobs/{task}")
    assert page.locator("#log .said").all_inner_texts() == live
    assert live[0] == HOSTILE[0]
    assert live[6].startswith("\\u202egnp.exe\\u202c")


def test_every_page_is_accessible_in_light_and_dark_and_fits_a_small_screen(
    page: Page, api: httpx.Client, worker: HandWorker, submit: Callable[..., str]
) -> None:
    task = submit(tags=["a"]).rpartition("/")[2]
    claim = worker.claim()
    worker.log(claim, "a line")
    worker.fail(claim, "no")
    submit()
    schedule = {"name": f"{worker.queue}-daily", "cron": "@daily", "task": {"task_type": "echo", "input": {}}}
    edited = api.post("/schedules", json=schedule).raise_for_status().json()["schedule_id"]
    paths = ("", "/jobs", "/jobs?metadata=[", f"/jobs/{task}", f"/jobs/{task}/again", "/queues", "/workers")
    forms = (f"/schedules/{edited}/edit", "/new", "/new?task_type=sleep")
    for path in (*paths, *forms, "/schedules", "/webhooks", "/keys", "/audit-log", "/jobs/x"):
        page.goto(f"/console{path}")
        page.emulate_media(color_scheme="light")
        assert serious(page) == [], path
        page.emulate_media(color_scheme="dark")
        assert serious(page, runOnly=["color-contrast"]) == [], path
        page.set_viewport_size({"width": 360, "height": 740})
        assert is_within(page), path
        page.set_viewport_size({"width": 1280, "height": 800})


def test_times_are_in_the_zone_of_the_reader(browser: Browser, api_url: str, submit: Callable[..., str]) -> None:
    task = submit().rpartition("/")[2]
    context = browser.new_context(base_url=api_url, timezone_id="Asia/Tokyo", locale="en-GB")
    opened = context.new_page()
    opened.goto(f"/console/jobs/{task}")
    time = opened.locator("dd time").first
    shown, title, at = time.inner_text(), time.get_attribute("title"), time.get_attribute("datetime")
    expected = opened.evaluate(
        "at => new Intl.DateTimeFormat('en-GB', {dateStyle: 'short', timeStyle: 'medium', timeZone: 'Asia/Tokyo'})"
        ".format(new Date(at))",
        at,
    )
    assert shown == expected
    assert title == f"{str(at)[:19].replace('T', ' ')} UTC"
    context.close()


def test_a_job_is_read_without_scripts(browser: Browser, api_url: str, worker: HandWorker, submit: Any) -> None:
    task = submit(input={"a": "what was asked"}).rpartition("/")[2]
    worker.log(worker.claim(), "what was said")
    context = browser.new_context(base_url=api_url, java_script_enabled=False)
    opened = context.new_page()
    opened.goto("/console/jobs")
    opened.goto(f"/console/jobs/{task}")
    expect(opened.get_by_text("what was asked")).to_be_visible()
    expect(opened.get_by_text("what was said")).to_be_visible()
    expect(opened.locator("dd time").first).to_contain_text("UTC")
    context.close()
