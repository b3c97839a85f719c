"""From a POST to a result, through a real API, a real scraper and a web site that misbehaves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.badsite import TEXTS, BadSite, bomb
from tests.processes import Stack
from tests.waiting import PATIENCE_S, until

PRIVATE_PORT = 9
"""Nobody allowed this port: the guard must refuse it before anything connects."""
Scrape = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def site() -> Iterator[BadSite]:
    bomb()  # takes a second or two to make: longer than the scraper waits
    with BadSite() as site:
        yield site


@pytest.fixture(scope="module")
def client(shared_stack: Stack, site: BadSite) -> Iterator[httpx.Client]:
    """A client of an API whose scraper may reach the bad site, and gives up after 1 s or 1 MiB."""
    limits = {
        "LONGRUN_FETCH_ALLOW": site.host_port,
        "LONGRUN_FETCH_TIMEOUT_S": "1",
        "LONGRUN_FETCH_MAX_BYTES": str(1024 * 1024),
    }
    api = shared_stack.api()
    shared_stack.scraper(env=limits)
    with httpx.Client(base_url=api.url, timeout=30) as client:
        yield client


@pytest.fixture
def scrape(client: httpx.Client, site: BadSite) -> Scrape:
    """Scrapes a page of the bad site, or any URL; the task once it has ended."""

    def run(page: str, **options: Any) -> dict[str, Any]:
        url = site.url + page if page.startswith("/") else page
        answer = client.post("/tasks", json={"task_type": "web_scrape", "input": {"url": url}, **options})
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return until(lambda: ended(client, answer.json()["task_id"]), what=f"{page} is scraped")

    return run


def ended(client: httpx.Client, task_id: str) -> dict[str, Any] | None:
    task = dict(client.get(f"/tasks/{task_id}").json())
    return task if task["finished_at"] else None


def statuses(client: httpx.Client, task: dict[str, Any]) -> list[str]:
    """The statuses that the task's stream tells, in order."""
    stream = client.get(task["links"]["stream"]).text
    return re.findall(r'event: state\ndata: .*?"status": ?"([A-Z]+)"', stream)


def test_a_good_page_gives_exactly_the_result_on_the_wire(scrape: Scrape, site: BadSite, client: httpx.Client) -> None:
    task = scrape("/good")
    result = task["result"]
    assert datetime.fromisoformat(result.pop("fetched_at")).utcoffset() is not None
    assert 0 <= result.pop("elapsed_s") < PATIENCE_S
    assert result.pop("bytes") > 500
    base = f"{site.url}/news"
    assert result == {
        "url": f"{site.url}/good",
        "final_url": f"{site.url}/good",
        "status_code": 200,
        "content_type": "text/html",
        "charset": "utf-8",
        "title": "The Daily Example",
        "h1": ["Today", "Weather and tides"],
        "links": [
            {"url": f"{base}/2026/one.html", "text": "First story", "rel": []},
            {"url": f"{base}/archive", "text": "Archive", "rel": ["nofollow", "noopener"]},
            {"url": "http://cdn.example.org/x.js", "text": "Elsewhere", "rel": []},
            {"url": "https://example.com/?q=a&b=c", "text": "A query", "rel": []},
        ],
        "truncated": [],
    }
    assert (task["status"], task["error"], task["attempt"]) == ("SUCCESS", None, 1)
    assert task["progress"] == {"done": 2, "total": 2, "message": "parsed"}
    assert statuses(client, task) == ["PENDING", "RUNNING", "SUCCESS"]
    lines = client.get(task["links"]["logs"]).json()["items"]
    assert any("200 OK" in line["message"] for line in lines)


def test_redirects_are_followed_and_told(scrape: Scrape, site: BadSite, client: httpx.Client) -> None:
    task = scrape("/hops/3")
    assert (task["result"]["url"], task["result"]["final_url"]) == (f"{site.url}/hops/3", f"{site.url}/good")
    lines = [line["message"] for line in client.get(task["links"]["logs"]).json()["items"]]
    assert [line for line in lines if line.startswith("redirected to ")] == [
        f"redirected to {site.url}/{page}" for page in ("hops/2", "hops/1", "good")
    ]


def test_a_server_error_is_tried_again_and_then_fails_as_raised(
    scrape: Scrape, site: BadSite, client: httpx.Client
) -> None:
    task = scrape("/status/500?1")
    assert (task["status"], task["attempt"], task["result"]) == ("FAILED", 3, None)
    assert (task["error"]["kind"], task["error"]["type"], task["error"]["attempt"]) == (
        "raised",
        "ServerUnavailable",
        3,
    )
    assert "500" in task["error"]["message"]
    assert site.requested.count("/status/500?1") == 3
    assert statuses(client, task) == ["PENDING", "RUNNING", "PENDING", "RUNNING", "PENDING", "RUNNING", "FAILED"]


@pytest.mark.parametrize(
    ("page", "error"),
    [
        ("/status/404", "HttpStatusError"),
        ("/loop", "TooManyRedirects"),
        ("/huge", "PageTooLarge"),
        ("/huge-declared", "PageTooLarge"),
        ("/bomb", "PageTooLarge"),
        ("/double-bomb", "PageTooLarge"),
        (f"/to?http://127.0.0.1:{PRIVATE_PORT}/", "RefusedAddress"),
        (f"http://127.0.0.1:{PRIVATE_PORT}/", "RefusedAddress"),
        ("http://169.254.169.254/latest/meta-data/", "RefusedAddress"),
        ("http://[::1]/", "RefusedAddress"),
    ],
)
def test_what_would_be_the_same_next_time_fails_at_once(scrape: Scrape, page: str, error: str) -> None:
    task = scrape(page)
    assert (task["status"], task["attempt"]) == ("FAILED", 1)
    assert (task["error"]["kind"], task["error"]["type"]) == ("raised", error)


@pytest.mark.parametrize("page", ["/slow", "/slow-headers", "/silent"])
def test_a_slow_server_is_given_up_on_in_time(scrape: Scrape, page: str) -> None:
    task = scrape(page, max_attempts=1)
    assert (task["status"], task["error"]["type"]) == ("FAILED", "FetchTimeout")
    took = datetime.fromisoformat(task["finished_at"]) - datetime.fromisoformat(task["started_at"])
    assert took.total_seconds() < PATIENCE_S


@pytest.mark.parametrize("charset", ["windows-1251", "shift_jis", "windows-1252"])
def test_a_wrong_charset_in_the_header_does_not_garble_the_title(scrape: Scrape, charset: str) -> None:
    assert scrape(f"/wrong-charset/{charset}")["result"]["title"] == TEXTS[charset][0]


def test_broken_html_still_gives_what_can_be_read(scrape: Scrape, site: BadSite) -> None:
    task = scrape("/broken")
    assert task["status"] == "SUCCESS"
    assert {"One", "Two"} <= {text for heading in task["result"]["h1"] for text in re.findall(r"One|Two", heading)}
    assert f"{site.url}/a" in [link["url"] for link in task["result"]["links"]]


def test_a_bad_url_is_refused_before_it_is_accepted(client: httpx.Client) -> None:
    answer = client.post("/tasks", json={"task_type": "web_scrape", "input": {"url": "ftp://example.com/"}})
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert answer.headers["content-type"] == "application/problem+json"
    assert "input.url" in answer.text


def test_all_five_statuses_are_seen_through_the_api(client: httpx.Client, scrape: Scrape, site: BadSite) -> None:
    seen = {scrape("/good")["status"], scrape("/status/404")["status"]}
    answer = client.post(
        "/tasks", json={"task_type": "web_scrape", "input": {"url": site.url + "/hops/9"}, "delay_s": 60}
    )
    path = answer.json()["links"]["self"]
    seen.add(client.get(path).json()["status"])
    seen.add(client.delete(path).json()["status"])
    answer = client.post("/tasks", json={"task_type": "web_scrape", "input": {"url": site.url + "/silent"}})
    path = answer.json()["links"]["self"]
    until(lambda: client.get(path).json()["status"] == "RUNNING", what=f"{path} runs")
    seen.add(client.get(path).json()["status"])
    assert client.delete(path).json()["status"] == "CANCELLED"
    until(lambda: client.get(path).json()["cancel"]["stopped_at"], what="its receipt is complete")
    assert seen == {"PENDING", "RUNNING", "SUCCESS", "FAILED", "CANCELLED"}
    for status in sorted(seen - {"RUNNING", "PENDING"}):
        items = client.get("/tasks", params={"status": status}).json()["items"]
        assert items
        assert {item["status"] for item in items} == {status}
