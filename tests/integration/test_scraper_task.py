"""`web_scrape` as a job sees it: the wire shape, and a story that reads well live."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NoReturn, ParamSpec

import pytest

from jobcore.errors import JobCancelled
from jobcore.outbound.errors import RefusedAddress
from jobcore.settings import read
from longrun_scraper.tasks import ScrapeInput, web_scrape
from tests.badsite import TEXTS, BadSite

P = ParamSpec("P")


class Diary:
    """A JobContext that keeps what the task says of itself."""

    job_id, owner, attempt, fence, checkpoint_state = "0", None, 1, 1, None

    def __init__(self, cancel_at: Callable[[Diary], bool] = lambda diary: False) -> None:
        self.logs: list[tuple[str, str]] = []
        self.steps: list[tuple[float, float | None, str | None]] = []
        self._cancel_at = cancel_at

    @property
    def cancelled(self) -> bool:
        return self._cancel_at(self)

    def raise_if_cancelled(self) -> None:
        if self.cancelled:
            raise JobCancelled

    def log(self, message: str, level: str = "info") -> None:
        self.logs.append((level, message))

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        self.steps.append((done, total, message))

    def emit(self, name: str, data: Any) -> None:
        raise AssertionError("a scrape has no output but its result")

    def checkpoint(self, state: Any) -> None:
        raise AssertionError("a scrape has nothing to continue from")

    def step(self, name: str, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Any:
        raise AssertionError("a scrape has no parts")

    def run(self, args: object, **options: object) -> NoReturn:
        raise AssertionError("a scrape runs no program")

    def file(self, path: Any, name: str | None = None, *, media_type: str | None = None) -> Any:
        raise AssertionError("a scrape stores no files")

    def input_file(self, name: str) -> Any:
        raise AssertionError("a scrape has no input files")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[BadSite]:
    with BadSite() as site:
        monkeypatch.setenv("LONGRUN_FETCH_ALLOW", site.host_port)
        read.cache_clear()
        yield site
    read.cache_clear()


def test_the_result_has_exactly_the_shape_on_the_wire(site: BadSite) -> None:
    result = web_scrape(Diary(), ScrapeInput(url=site.url + "/hops/1"))
    wire = json.loads(result.model_dump_json())
    assert datetime.fromisoformat(wire.pop("fetched_at")).tzinfo is not None
    assert 0 < wire.pop("elapsed_s") < 10
    assert wire.pop("bytes") > 500
    assert {tuple(link) for link in wire.pop("links")} == {("url", "text", "rel")}
    assert wire == {
        "url": site.url + "/hops/1",
        "final_url": site.url + "/good",
        "status_code": 200,
        "content_type": "text/html",
        "charset": "utf-8",
        "title": "The Daily Example",
        "h1": ["Today", "Weather and tides"],
        "truncated": [],
    }


def test_links_are_those_of_the_final_page(site: BadSite) -> None:
    links = web_scrape(Diary(), ScrapeInput(url=site.url + "/hops/1")).links
    assert links[0].url == site.url + "/news/2026/one.html"


def test_the_story_tells_redirects_size_and_findings(site: BadSite) -> None:
    diary = Diary()
    web_scrape(diary, ScrapeInput(url=site.url + "/hops/1"))
    lines = [message for _, message in diary.logs]
    assert lines[0] == f"redirected to {site.url}/good"
    assert lines[1].startswith("200 OK, text/html; charset=utf-8, ")
    assert lines[1].endswith(" s")
    assert lines[2] == "title 'The Daily Example', 2 h1, 4 links"
    assert [step[:2] for step in diary.steps] == [(0, 2), (1, 2), (2, 2)]


def test_a_page_of_many_links_keeps_the_first_thousand(site: BadSite) -> None:
    links = web_scrape(Diary(), ScrapeInput(url=site.url + "/many-links/5000")).links
    assert [link.url for link in links] == [f"{site.url}/page/{n}" for n in range(1000)]


@pytest.mark.parametrize("charset", ["windows-1251", "shift_jis"])
def test_a_lying_header_does_not_spoil_the_title(site: BadSite, charset: str) -> None:
    result = web_scrape(Diary(), ScrapeInput(url=f"{site.url}/wrong-charset/{charset}"))
    assert (result.title, result.charset) == (TEXTS[charset][0], charset)


@pytest.mark.parametrize("path", ["/pdf", "/json", "/image", "/empty"])
def test_what_is_no_page_gives_no_title(site: BadSite, path: str) -> None:
    result = web_scrape(Diary(), ScrapeInput(url=site.url + path))
    assert (result.title, result.h1, result.links) == (None, [], [])


def test_a_private_address_is_refused_when_the_job_runs(site: BadSite) -> None:
    with pytest.raises(RefusedAddress, match=r"LONGRUN_FETCH_ALLOW=192\.168\.0\.1:80"):
        web_scrape(Diary(), ScrapeInput(url="http://192.168.0.1/"))


def test_a_cancel_between_fetching_and_parsing_is_heard(site: BadSite) -> None:
    diary = Diary(cancel_at=lambda diary: len(diary.steps) == 2)
    with pytest.raises(JobCancelled):
        web_scrape(diary, ScrapeInput(url=site.url + "/good"))
    assert diary.steps[-1][0] == 1
