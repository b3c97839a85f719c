"""Fetch one page: bounded in time, size and redirects, and only from where the guard lets it.

Every error is either permanent (asking again would bring the same) or retryable, and says what happened.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

import requests
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse

from longrun_scraper import mime, unpack
from longrun_scraper.deadline import Deadline
from longrun_scraper.errors import (
    InvalidResponse,
    PageTooLarge,
    TooManyRedirects,
    UnknownEncoding,
)
from longrun_scraper.guard import GuardedAdapter
from longrun_scraper.refresh import refresh_url
from longrun_scraper.settings import ScraperSettings
from longrun_scraper.status_errors import status_error
from longrun_scraper.transport_errors import explain
from longrun_scraper.urls import InvalidUrl, WebUrl, header_href, web_url

CHUNK: Final = 64 * 1024
_REDIRECTS: Final = {301, 302, 303, 307, 308}
_HEADERS: Final = {
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.5",
    "Accept-Encoding": unpack.ACCEPTED,
}


@dataclass(frozen=True, slots=True)
class Page:
    """What a fetch brought: `body` is decompressed bytes, `elapsed_s` seconds with all redirects.

    `content_type` is the header as it came, several of them joined by commas.
    """

    url: str
    final_url: str
    status_code: int
    content_type: str | None
    body: bytes
    redirects: tuple[str, ...]
    elapsed_s: float


def fetch(url: str, settings: ScraperSettings, stop: Callable[[], None]) -> Page:
    """Fetch the page at `url`, following redirects; no connection outlives the call. See `Visit.get` for the rest."""
    with Visit(settings, stop) as visit:
        return visit.get(url)


class Visit:
    """One walk from a URL to the page it leads to, within one time limit, one bound of redirects, and with cookies.

    `stop` is called before every request and between chunks, and raises (JobCancelled) to give up.
    """

    def __init__(self, settings: ScraperSettings, stop: Callable[[], None]) -> None:
        self._settings = settings
        self._stop = stop
        self._started = time.monotonic()
        self._hops: list[str] = []

    def __enter__(self) -> Self:
        self._deadline = Deadline(self._settings.fetch_timeout_s)
        self._deadline.__enter__()
        self._session = _session(self._settings, self._deadline)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()
        self._deadline.__exit__(kind, error, trace)

    def get(self, url: str) -> Page:
        """Fetch the page at `url`. Raises a PermanentError or a RetryableError; the latter carries Retry-After."""
        try:
            response, at = self._follow(web_url(url))
            with response:
                self._check_status(response, at)
                body = self._read(response, at)
            self._deadline.left_s()  # a connection cut by the deadline may look like the end of the page
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
        """Fetch where a page sends its visitor on to (a refresh); the page itself if that leads in a circle."""
        seen = {web_url(page.url).href, *self._hops}
        if url in seen or len(self._hops) == self._settings.fetch_max_redirects:
            return page
        self._hops.append(url)
        return replace(self.get(url), url=page.url)

    def _follow(self, url: WebUrl) -> tuple[requests.Response, WebUrl]:
        """The first response that is not a redirect, still unread, and its URL."""
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
        request = self._session.prepare_request(requests.Request("GET", url.href))
        request.url = url.href  # requests writes it anew; `guard` reads this one again
        timeout = (self._settings.fetch_connect_timeout_s, self._deadline.left_s())
        return self._session.send(request, stream=True, allow_redirects=False, timeout=timeout)

    def _check_status(self, response: requests.Response, at: WebUrl) -> None:
        if response.status_code < HTTPStatus.OK:
            raise InvalidResponse(f"{at.href} answered {response.status_code}, which nobody asked for")
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
        if unknown and mime.is_binary(bytes(body[:CHUNK])):  # text under such a name (utf-8, none) is taken as it is
            raise UnknownEncoding(f"{at.href} came compressed as {', '.join(unknown)[:200]}, which we did not ask for")
        return bytes(body)

    def _chunks(self, raw: HTTPResponse) -> Iterator[bytes]:
        # read1 gives what has arrived: `stop` is asked even while a server dribbles.
        while chunk := raw.read1(CHUNK, decode_content=False):
            self._stop()
            yield chunk


def _bounded(chunks: Iterator[bytes], limit: int, error: PageTooLarge) -> Iterator[bytes]:
    """The chunks of a body, until there are more than `limit` bytes: they may unpack to nothing, for ever."""
    received = 0
    for chunk in chunks:
        received += len(chunk)
        if received > limit:
            raise error
        yield chunk


class _Session(requests.Session):
    """A session that never follows a redirect by itself: requests would read its body, however long."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


def _session(settings: ScraperSettings, deadline: Deadline) -> requests.Session:
    session = _Session()
    session.trust_env = False  # a proxy of the environment would go round the guard, .netrc would give secrets
    adapter = GuardedAdapter(settings.fetch_allow, settings.fetch_connect_timeout_s, deadline)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.headers.update({"User-Agent": settings.fetch_user_agent, **_HEADERS})
    return session


def _redirect(response: requests.Response, url: WebUrl) -> WebUrl | None:
    """Where an answer redirects to, by its status and Location, or by a Refresh header."""
    if response.status_code in _REDIRECTS:
        locations = {header_href(value) for value in response.raw.headers.getlist("location") if value.strip()}
        if len(locations) > 1:
            raise InvalidResponse(f"{url.href} redirects to {len(locations)} places at once")
        return next((_joined(url, location) for location in locations), None)
    refresh = refresh_url(header_href(_header(response, "refresh") or "")) if response.ok else None
    try:
        return web_url(refresh, url.href) if refresh else None
    except InvalidUrl:
        return None  # a page that sends its visitor to mailto: or the like is read as it is


def _joined(url: WebUrl, location: str) -> WebUrl:
    try:
        return web_url(location, url.href)
    except InvalidUrl as error:
        raise InvalidUrl(f"{url.href} redirects to where web_scrape cannot follow: {error}") from None


def _header(response: requests.Response, name: str) -> str | None:
    return response.headers.get(name)
