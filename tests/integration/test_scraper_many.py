"""Many scrapes at once in one process: small pages side by side, large ones and the parser by permit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobcore.errors import JobCancelled, RetryableError
from jobcore.outbound.errors import FetchTimeout
from longrun_scraper import permits
from longrun_scraper.fetch import Page
from longrun_scraper.scrape import scrape
from longrun_scraper.settings import ScraperSettings
from tests.badsite import BadSite
from tests.waiting import PATIENCE_S, until

LARGE = "/many-links/60000"
SMALL = "/many-links/10"
SCRAPES = 5


@pytest.fixture(scope="module")
def site() -> Iterator[BadSite]:
    with BadSite() as site:
        yield site


class Scrapes:
    """Scrapes that stop between the fetch and the parser until `may_parse` is set."""

    def __init__(self, site: BadSite, fetch_timeout_s: float = PATIENCE_S) -> None:
        self._site = site
        self._settings = ScraperSettings(
            fetch_allow=frozenset({site.host_port}), fetch_timeout_s=fetch_timeout_s, scrape_max_links=1
        )
        self.fetched: list[int] = []
        self.may_parse = threading.Event()

    def __call__(self, path: str, stop: Callable[[], None] = lambda: None) -> Page:
        page, _ = scrape(self._site.url + path, self._settings, stop, self._on_fetched)
        return page

    def _on_fetched(self, page: Page) -> None:
        self.fetched.append(len(page.body))
        assert self.may_parse.wait(PATIENCE_S)


def test_a_process_holds_few_large_pages_at_once_and_small_ones_pass_them(site: BadSite) -> None:
    scrapes = Scrapes(site)
    with ThreadPoolExecutor(2 * SCRAPES) as threads:
        large = [threads.submit(scrapes, LARGE) for _ in range(SCRAPES)]
        until(lambda: len(scrapes.fetched) == permits.LARGE_PAGES, what="the first large pages")
        small = [threads.submit(scrapes, SMALL) for _ in range(SCRAPES)]
        until(lambda: len(scrapes.fetched) == permits.LARGE_PAGES + SCRAPES, what="the small pages")
        assert sum(size > permits.SMALL_BYTES for size in scrapes.fetched) == permits.LARGE_PAGES
        scrapes.may_parse.set()
        assert all(page.result(PATIENCE_S).status_code == 200 for page in [*large, *small])


def test_a_large_page_that_waits_for_its_turn_is_stopped_by_a_cancel(site: BadSite) -> None:
    scrapes, cancelled = Scrapes(site), threading.Event()

    def stop() -> None:
        if cancelled.is_set():
            raise JobCancelled("cancelled")

    with ThreadPoolExecutor(SCRAPES) as threads:
        first = [threads.submit(scrapes, LARGE) for _ in range(permits.LARGE_PAGES)]
        until(lambda: len(scrapes.fetched) == permits.LARGE_PAGES, what="the first large pages")
        waiting = threads.submit(scrapes, LARGE, stop)
        cancelled.set()
        with pytest.raises(JobCancelled):
            waiting.result(PATIENCE_S)
        scrapes.may_parse.set()
        assert all(page.result(PATIENCE_S).status_code == 200 for page in first)


def test_a_large_page_waits_no_longer_than_a_fetch_may_take_and_is_tried_again(site: BadSite) -> None:
    scrapes = Scrapes(site)
    with ThreadPoolExecutor(SCRAPES) as threads:
        first = [threads.submit(scrapes, LARGE) for _ in range(permits.LARGE_PAGES)]
        until(lambda: len(scrapes.fetched) == permits.LARGE_PAGES, what="the first large pages")
        with pytest.raises(FetchTimeout) as refused:
            Scrapes(site, fetch_timeout_s=1.0)(LARGE)
        assert isinstance(refused.value, RetryableError)
        scrapes.may_parse.set()
        assert all(page.result(PATIENCE_S).status_code == 200 for page in first)


def test_pages_are_parsed_one_at_a_time(site: BadSite) -> None:
    scrapes = Scrapes(site)
    scrapes.may_parse.set()
    with ThreadPoolExecutor(SCRAPES) as threads:
        with permits.PARSING.one(lambda: None):
            pages = [threads.submit(scrapes, SMALL) for _ in range(SCRAPES)]
            until(lambda: len(scrapes.fetched) == SCRAPES, what="all pages")
            assert not any(page.done() for page in pages)
        assert all(page.result(PATIENCE_S).status_code == 200 for page in pages)
