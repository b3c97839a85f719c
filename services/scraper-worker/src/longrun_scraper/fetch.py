"""Fetch one page: bounded in time, size and redirects, and only from where the guard lets it.

Every error is either permanent (asking again would bring the same) or retryable, and says what happened.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urljoin

import requests
from requests.utils import requote_uri
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse

from jobcore.errors import PermanentError, RetryableError
from longrun_scraper.deadline import Deadline, FetchTimeout
from longrun_scraper.guard import ConnectionFailed, GuardedAdapter, InvalidUrl, check_url
from longrun_scraper.retry_after import delay_s
from longrun_scraper.settings import ScraperSettings

CHUNK: Final = 64 * 1024
WORTH_A_RETRY: Final = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}


class HttpStatusError(PermanentError):
    """The server says that there is no such page for us (a 4xx status)."""


class ServerUnavailable(RetryableError):
    """The server cannot answer now (a 5xx status, 408, 425 or 429)."""


class TooManyRedirects(PermanentError):
    """The page redirects in a circle, or further than allowed."""


class PageTooLarge(PermanentError):
    """The page is larger than allowed."""


class UnknownEncoding(PermanentError):
    """The page is compressed in a way that we did not say we understand."""


class CertificateRefused(PermanentError):
    """The server does not prove that it is who the URL names."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a fetch brought: `body` is decompressed bytes, `elapsed_s` seconds with all redirects."""

    url: str
    final_url: str
    status_code: int
    content_type: str | None
    body: bytes
    redirects: tuple[str, ...]
    elapsed_s: float


def fetch(url: str, settings: ScraperSettings, stop: Callable[[], None]) -> Page:
    """Fetch the page at `url`, following redirects; no connection outlives the call.

    `stop` is called before every request and between chunks, and raises (JobCancelled) to give up.
    Raises a PermanentError or a RetryableError; the latter carries the server's Retry-After.
    """
    started = time.monotonic()
    with Deadline(settings.fetch_timeout_s) as deadline, _session(settings, deadline) as session:
        try:
            response, redirects = _follow(session, url, settings, stop, deadline)
            with response:
                _check_status(response)
                body = _read(response, settings.fetch_max_bytes, stop)
            deadline.left_s()  # a connection cut by the deadline may look like the end of the page
        except (requests.RequestException, HTTPError, OSError) as error:
            deadline.left_s()
            raise _explain(error) from error
    return Page(
        url=url,
        final_url=response.url,
        status_code=response.status_code,
        content_type=response.headers.get("content-type"),
        body=body,
        redirects=redirects,
        elapsed_s=time.monotonic() - started,
    )


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
    session.headers["User-Agent"] = settings.fetch_user_agent
    session.headers["Accept"] = "text/html,application/xhtml+xml,*/*;q=0.5"
    return session


def _follow(
    session: requests.Session, url: str, settings: ScraperSettings, stop: Callable[[], None], deadline: Deadline
) -> tuple[requests.Response, tuple[str, ...]]:
    """The first response that is not a redirect, still unread, and the URLs that led to it."""
    redirects: list[str] = []
    while True:
        stop()
        check_url(url)
        timeout = (settings.fetch_connect_timeout_s, deadline.left_s())
        response = session.get(url, stream=True, allow_redirects=False, timeout=timeout)
        location = requests.Session.get_redirect_target(session, response)
        if location is None:
            return response, tuple(redirects)
        response.close()
        if len(redirects) == settings.fetch_max_redirects:
            raise TooManyRedirects(f"more than {len(redirects)} redirects, the last one from {response.url}")
        url = _join(response.url, location)
        redirects.append(url)


def _join(url: str, location: str) -> str:
    try:
        return urljoin(url, requote_uri(location))
    except ValueError:
        raise InvalidUrl(f"{url} redirects to {location!r}, which is not a URL") from None


def _check_status(response: requests.Response) -> None:
    status = response.status_code
    said = f"{response.url} answered {status} {response.reason or ''}".rstrip()
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in WORTH_A_RETRY:
        raise ServerUnavailable(said, retry_after_s=delay_s(response.headers.get("retry-after")))
    if status >= HTTPStatus.BAD_REQUEST:
        raise HttpStatusError(said)


def _read(response: requests.Response, limit: int, stop: Callable[[], None]) -> bytes:
    raw: HTTPResponse = response.raw
    encodings = [name.strip().lower() for name in raw.headers.get("content-encoding", "").split(",")]
    unknown = [name for name in encodings if name not in ("", "identity", *raw.CONTENT_DECODERS)]
    if unknown:
        raise UnknownEncoding(f"{response.url} came compressed as {', '.join(unknown)}, which we did not ask for")
    body = bytearray()
    # read1 gives what has arrived, inflated by at most a chunk: `stop` is asked even while a server dribbles.
    while chunk := raw.read1(CHUNK, decode_content=True):
        stop()
        body += chunk
        if len(body) > limit:
            raise PageTooLarge(f"{response.url} is larger than {limit} bytes (LONGRUN_FETCH_MAX_BYTES)")
    return bytes(body)


def _explain(error: Exception) -> PermanentError | RetryableError:
    root = _root(error)
    if isinstance(root, ssl.SSLCertVerificationError):
        return CertificateRefused(f"the certificate cannot be trusted: {root.verify_message}")
    if isinstance(error, ValueError):  # requests' and urllib3's errors about URLs are ValueErrors too
        return InvalidUrl(str(error))
    if isinstance(root, TimeoutError):
        return FetchTimeout("the server fell silent")
    return ConnectionFailed(f"the connection failed: {root}")


def _root(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error
