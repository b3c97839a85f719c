"""The task type `web_scrape`: fetch a web page and extract its title, headings and links.

Every process of Longrun imports this module. The libraries of HTTP and HTML are imported only where pages are scraped.
"""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, field_validator

from jobcore import JobContext, task
from jobcore.outbound.errors import InvalidUrl
from jobcore.outbound.urls import MAX_URL_LENGTH, web_url
from jobcore.settings import read
from jobcore.webhooks import delivery as _registers_its_own  # noqa: F401
from longrun_scraper.document import Link
from longrun_scraper.settings import ScraperSettings

if TYPE_CHECKING:
    from longrun_scraper.fetch import Page


class ScrapeInput(BaseModel):
    """The page to scrape."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(
        max_length=MAX_URL_LENGTH,
        description="URL of the page: http:// or https://, without user name and password.",
        examples=["https://example.com/"],
        json_schema_extra={"format": "uri"},
    )

    @field_validator("url")
    @classmethod
    def _can_be_fetched(cls, url: str) -> str:
        try:
            web_url(url)
        except InvalidUrl as error:
            raise ValueError(str(error)) from None
        return url


class ScrapeResult(BaseModel):
    """The scraped page. `bytes` is its size after decompression; `elapsed_s` is the duration of the fetch, in seconds.

    `truncated` lists what is incomplete: `title`, `h1`, `links`, or the whole `body`.
    """

    url: str
    final_url: str
    status_code: int
    content_type: str | None
    charset: str | None
    title: str | None
    h1: list[str]
    links: list[Link]
    truncated: list[str]
    bytes: int
    elapsed_s: float
    fetched_at: datetime


@task(
    "web_scrape",
    input=ScrapeInput,
    output=ScrapeResult,
    queue="scrape",
    lane="thread",
    max_attempts=3,
    backoff_s=2,
    timeout_s=120,
    example={"url": "https://example.com/"},
)
def web_scrape(ctx: JobContext, input: ScrapeInput) -> ScrapeResult:
    """Fetch a web page and return its title, headings and links."""
    from longrun_scraper.scrape import scrape  # `app` has imported it before it forks

    def fetched(page: Page) -> None:
        ctx.progress(1, 2, f"fetched {len(page.body):,} bytes")

    settings = read(ScraperSettings)
    fetched_at = datetime.now(UTC)
    ctx.progress(0, 2, f"fetching {input.url}")
    page, document = scrape(input.url, settings, ctx.raise_if_cancelled, fetched)
    _log(ctx, page)
    if document.truncated:
        ctx.log(f"the page is too large; truncated: {', '.join(document.truncated)}", "warning")
    ctx.log(f"title {document.title!r}, {len(document.h1)} h1, {len(document.links)} links")
    ctx.progress(2, 2, "parsed")
    return ScrapeResult(
        url=page.url,
        final_url=page.final_url,
        status_code=page.status_code,
        content_type=document.content_type,
        charset=document.charset,
        title=document.title,
        h1=document.h1,
        links=document.links,
        truncated=document.truncated,
        bytes=len(page.body),
        elapsed_s=round(page.elapsed_s, 3),
        fetched_at=fetched_at,
    )


def _log(ctx: JobContext, page: Page) -> None:
    for redirect in page.redirects:
        ctx.log(f"redirected to {redirect}")
    try:
        status = f"{page.status_code} {HTTPStatus(page.status_code).phrase}"
    except ValueError:
        status = str(page.status_code)
    ctx.log(f"{status}, {page.content_type or 'no content type'}, {len(page.body):,} bytes in {page.elapsed_s:.2f} s")
