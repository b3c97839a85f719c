"""What `web_scrape` takes: one public-looking URL, kept as it was written."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from jobcore.tasks import load_tasks
from longrun_scraper.errors import PageTooLarge, ServerUnavailable
from longrun_scraper.tasks import ScrapeInput


def test_the_task_type_is_announced_to_every_service() -> None:
    scrape = load_tasks().get("web_scrape")
    assert (scrape.queue, scrape.timeout_s, scrape.retry.max_attempts) == ("scrape", 120, 3)
    assert scrape.input_model.model_validate(scrape.example)
    assert scrape.retry.retries(ServerUnavailable("busy", {}))
    assert not scrape.retry.retries(PageTooLarge("big"))


@pytest.mark.parametrize(
    "url", ["http://Example.com", "https://example.com:8443/a?b=c#d", "http://127.0.0.1/", "http://bücher.example/ü"]
)
def test_a_url_is_kept_as_it_was_written(url: str) -> None:
    assert ScrapeInput(url=url).url == url


@pytest.mark.parametrize("url", ["ftp://example.com/", "http://", "http://a:b@c/", "http://a\0b/", "", "x" * 2049])
def test_a_bad_url_is_refused_naming_the_field(url: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        ScrapeInput(url=url)
    assert [error["loc"] for error in refusal.value.errors()] == [("url",)]


def test_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError, match="follow"):
        ScrapeInput.model_validate({"url": "https://example.com/", "follow": True})
