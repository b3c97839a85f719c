"""Fetch a page with limits of time, size and redirects, and only from addresses that the guard allows.

Every error is either permanent or retryable, and says what happened.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

import requests
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse

from jobcore.outbound.allow_list import AllowList
from jobcore.outbound.deadline import Deadline
from jobcore.outbound.errors import InvalidUrl
from jobcore.outbound.guard import GuardedAdapter
from jobcore.outbound.session import GuardedSession
from jobcore.outbound.urls import WebUrl, web_url
from longrun_scraper import mime, permits, unpack
from longrun_scraper.errors import (
    InvalidResponse,
    PageTooLarge,
    TooManyRedirects,
    UnknownEncoding,
)
from longrun_scraper.head import CleanResponse
from longrun_scraper.refresh import refresh_url
from longrun_scraper.settings import ScraperSettings
from longrun_scraper.status_errors import status_error
from longrun_scraper.transport_errors import explain
from longrun_scraper.urls import header_href

CHUNK: Final = 64 * 1024
_REDIRECTS: Final = {301, 302, 303, 307, 308}
_HEADERS: Final = {
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.5",
    "Accept-Encoding": unpack.ACCEPTED,
}


@dataclass(frozen=True, slots=True)
class Page:
    """A fetched page: `body` is decompressed, `elapsed_s` is in seconds and includes redirects.

    `content_type` is the header as received; several headers are joined by commas.
    """

    url: str
    final_url: str
    status_code: int
    content_type: str | None
    body: bytes
    redirects: tuple[str, ...]
    elapsed_s: float


def fetch(url: str, settings: ScraperSettings, stop: Callable[[], None]) -> Page:
    """Fetch the page at `url`, following redirects, and close all connections. See `Visit.get`."""
    with Visit(settings, stop) as visit:
        return visit.get(url)


class Visit:
    """Fetches that share a time limit, a limit of redirects, and cookies.

    `stop` is called before every request and between chunks; it raises (JobCancelled) to stop the fetch.
    """

    def __init__(self, settings: ScraperSettings, stop: Callable[[], None]) -> None:
        self._settings = settings
        self._stop = stop
        self._started = time.monotonic()
        self._hops: list[str] = []
        self._permits = ExitStack()
        self._has_permit = False

    def __enter__(self) -> Self:
        self._deadline = Deadline(self._settings.fetch_timeout_s)
        self._deadline.__enter__()
        self._session = _session(self._settings, self._deadline)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._permits.close()
        self._session.close()
        self._deadline.__exit__(kind, error, trace)

    def get(self, url: str) -> Page:
        """Fetch the page at `url`. Raises PermanentError or RetryableError; the latter carries Retry-After."""
        try:
            response, at = self._follow(web_url(url))
            with response:
                self._check_status(response, at)
                body = self._read(response, at)
            self._deadline.left_s()  # a connection that the deadline shut down may look like the end of the page
        except (requests.RequestException, HTTPError, OSError) as error:
            self._deadline.left_s()
            raise explain(error) from error
        return Page(
            url=url,
            final_url=at.href,
            status_code=response.status_code,
            content_type=_header(response, "content-type"),
            body=body,
            redirects=tuple(self._hops),
            elapsed_s=time.monotonic() - self._started,
        )

    def go_on(self, page: Page, url: str) -> Page:
        """Fetch the target of a page's refresh; return the page if the target was visited or is one too many."""
        seen = {web_url(page.url).href, *self._hops}
        if url in seen or len(self._hops) == self._settings.fetch_max_redirects:
            return page
        self._hops.append(url)
        return replace(self.get(url), url=page.url)

    def _follow(self, url: WebUrl) -> tuple[requests.Response, WebUrl]:
        """The first response that is not a redirect, with its body unread, and its URL."""
        while True:
            response = self._ask(url)
            target = _redirect(response, url)
            if target is None or (target.href == url.href and response.status_code not in _REDIRECTS):
                return response, url
            response.close()
            if len(self._hops) == self._settings.fetch_max_redirects:
                raise TooManyRedirects(f"more than {len(self._hops)} redirects, the last one from {url.href}")
            url = target
            self._hops.append(url.href)

    def _ask(self, url: WebUrl) -> requests.Response:
        self._stop()
        return self._session.ask("GET", url, (self._settings.fetch_connect_timeout_s, self._deadline.left_s()))

    def _check_status(self, response: requests.Response, at: WebUrl) -> None:
        if response.status_code < HTTPStatus.OK:
            raise InvalidResponse(f"{at.href} answered with an unexpected {response.status_code}")
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            applied, _ = unpack.codings(_header(response, "content-encoding") or "")
            raise status_error(response, at, unpack.unpacked(self._chunks(response.raw), applied))

    def _read(self, response: requests.Response, at: WebUrl) -> bytes:
        applied, unknown = unpack.codings(_header(response, "content-encoding") or "")
        limit = self._settings.fetch_max_bytes
        body = bytearray()
        too_large = PageTooLarge(f"{at.href} is larger than {limit} bytes (LONGRUN_FETCH_MAX_BYTES)")
        for piece in unpack.unpacked(_bounded(self._chunks(response.raw), limit, too_large), applied):
            body += piece
            if len(body) > limit:
                raise too_large
            if len(body) > permits.SMALL_BYTES and not self._has_permit:
                self._take_permit()
        if unknown and mime.is_binary(
            bytes(body[:CHUNK])
        ):  # text with such a coding (utf-8, none) is accepted as it is
            raise UnknownEncoding(
                f"{at.href} has the content coding {', '.join(unknown)[:200]}, which was not requested"
            )
        return bytes(body)

    def _take_permit(self) -> None:
        """Wait until this process holds few large pages; the deadline limits the wait."""
        self._permits.enter_context(permits.LARGE.one(self._go_on_waiting))
        self._has_permit = True

    def _go_on_waiting(self) -> None:
        self._stop()
        self._deadline.left_s()

    def _chunks(self, raw: HTTPResponse) -> Iterator[bytes]:
        # read1 returns what has arrived, so that `stop` is called even if the server sends slowly.
        while chunk := raw.read1(CHUNK, decode_content=False):
            self._stop()
            yield chunk


def _bounded(chunks: Iterator[bytes], limit: int, error: PageTooLarge) -> Iterator[bytes]:
    """Yield the chunks of a body up to `limit` bytes, because compressed data may decompress to nothing for ever."""
    received = 0
    for chunk in chunks:
        received += len(chunk)
        if received > limit:
            raise error
        yield chunk


def _session(settings: ScraperSettings, deadline: Deadline) -> GuardedSession:
    allow = AllowList(settings.fetch_allow, "LONGRUN_FETCH_ALLOW")
    session = GuardedSession(GuardedAdapter(allow, settings.fetch_connect_timeout_s, deadline, CleanResponse))
    session.headers.update({"User-Agent": settings.fetch_user_agent, **_HEADERS})
    return session


def _redirect(response: requests.Response, url: WebUrl) -> WebUrl | None:
    """The target of a redirect by status and Location, or by a Refresh header; None if there is none."""
    if response.status_code in _REDIRECTS:
        locations = {header_href(value) for value in response.raw.headers.getlist("location") if value.strip()}
        if len(locations) > 1:
            raise InvalidResponse(f"{url.href} redirects to {len(locations)} locations at once")
        return next((_joined(url, location) for location in locations), None)
    refresh = refresh_url(header_href(_header(response, "refresh") or "")) if response.ok else None
    try:
        return web_url(refresh, url.href) if refresh else None
    except InvalidUrl:
        return None  # a page that refreshes to mailto: or the like is read as it is


def _joined(url: WebUrl, location: str) -> WebUrl:
    try:
        return web_url(location, url.href)
    except InvalidUrl as error:
        raise InvalidUrl(f"{url.href} redirects to a URL that web_scrape cannot fetch: {error}") from None


def _header(response: requests.Response, name: str) -> str | None:
    return response.headers.get(name)
