"""Fetch and parse a page, following redirects and refreshes."""

from __future__ import annotations

from collections.abc import Callable

from longrun_scraper.document import Document
from longrun_scraper.fetch import Page, Visit
from longrun_scraper.parse import parse
from longrun_scraper.permits import PARSING
from longrun_scraper.settings import ScraperSettings


def scrape(
    url: str, settings: ScraperSettings, stop: Callable[[], None], fetched: Callable[[Page], None] = lambda page: None
) -> tuple[Page, Document]:
    """Fetch the page at `url`, follow its redirects and refreshes, and parse the final page.

    `stop` raises (JobCancelled) to stop the scrape; `fetched` is called with each page before it is parsed. Raises
    PermanentError or RetryableError.
    """
    with Visit(settings, stop) as visit:
        page = visit.get(url)
        while True:
            fetched(page)
            stop()
            with PARSING.one(stop):
                document = parse(page.body, page.content_type, page.final_url, settings.scrape_max_links)
            sent_on = page if document.refresh is None else visit.go_on(page, document.refresh)
            if sent_on is page:
                return page, document
            page = sent_on
