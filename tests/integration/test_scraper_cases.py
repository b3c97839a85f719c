"""Every page of the tables in `tests/scrape*_cases.py` is read as its source of truth says, over a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jobcore.errors import LongrunError
from longrun_scraper.scrape import scrape
from longrun_scraper.settings import ScraperSettings
from tests import scrape_cases, scrape_wire_cases
from tests.answers import Answers
from tests.scrape_cases import Case

CASES = [*scrape_cases.CASES, *scrape_wire_cases.CASES]


@pytest.fixture(scope="module")
def site() -> Iterator[Answers]:
    with Answers({f"/x/{case.name}": case.answer for case in CASES}) as site:
        yield site


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_page_is_read_as_browsers_read_it(case: Case, site: Answers) -> None:
    assert said(case, site) == case.expected


def said(case: Case, site: Answers) -> dict[str, Any]:
    """What web_scrape says of a page, of that what the case asks for."""
    settings = ScraperSettings(fetch_allow=frozenset({site.host_port}))
    try:
        page, document = scrape(f"{site.url}/x/{case.name}", settings, lambda: None)
    except LongrunError as error:
        _, part = case.expected.get("error", ("", ""))
        return {"error": (type(error).__name__, part if part in str(error) else str(error))}
    everything = {
        "status_code": page.status_code,
        "final_url": page.final_url.replace(site.url, "SITE"),
        "content_type_is": document.content_type,
        "charset": document.charset,
        "title": document.title,
        "h1": document.h1,
        "links": [link.url.replace(site.url, "SITE") for link in document.links],
        "texts": [link.text for link in document.links],
        "truncated": document.truncated,
    }
    return {key: everything.get(key) for key in case.expected}
