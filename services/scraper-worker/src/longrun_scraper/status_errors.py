"""An answer with an error status: the error to raise for it, with what the server says of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

import requests
from urllib3.exceptions import HTTPError

from jobcore import PermanentError, RetryableError
from longrun_scraper import mime
from longrun_scraper.charset import decode
from longrun_scraper.errors import HttpStatusError, ServerUnavailable
from longrun_scraper.retry_after import delay_s
from longrun_scraper.urls import WebUrl

WORTH_A_RETRY: Final = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
MAX_HEADER: Final = 1000
"""Characters of one header field that an error tells."""
MAX_HEADERS_BYTES: Final = 4096
MAX_BODY_BYTES: Final = 2048
"""Bytes of JSON in ASCII that all header fields, and the start of the body, may take. `error` holds 16 KiB."""

_READ: Final = 8192
_SECRET: Final = ("set-cookie", "set-cookie2")


def status_error(response: requests.Response, at: WebUrl, body: Iterator[bytes]) -> HttpStatusError | ServerUnavailable:
    """The error for this answer of 400 or more; `body` gives its pieces, of which only the first are read."""
    status = response.status_code
    said = f"{at.href} answered {status} {response.reason or ''}".rstrip()
    details = {
        "status_code": status,
        "url": at.href,
        "headers": _headers(response),
        "body": _text(response, _start(body), at.host),
    }
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in WORTH_A_RETRY:
        return ServerUnavailable(said, details, delay_s(response.headers.get("retry-after")))
    return HttpStatusError(said, details)


def _headers(response: requests.Response) -> dict[str, str]:
    """The header fields, within bounds, without cookies: the secrets of a session."""
    headers: dict[str, str] = {}
    size = 0
    for name, value in response.headers.items():
        size += len(json.dumps({name: value[:MAX_HEADER]}))
        if size > MAX_HEADERS_BYTES:
            break
        if name.lower() not in _SECRET:
            headers[name.lower()] = value[:MAX_HEADER]
    return headers


def _start(body: Iterator[bytes]) -> bytes:
    """What arrives of a body, up to _READ bytes: it may break off or be unreadable, which is no news here."""
    start = b""
    try:
        for piece in body:
            start += piece
            if len(start) >= _READ:
                break
    except (requests.RequestException, HTTPError, OSError, PermanentError, RetryableError):
        pass
    return start[:_READ]


def _text(response: requests.Response, start: bytes, host: str) -> str | None:
    """The start of a body as text; None if it is none."""
    if not start or mime.is_binary(start):
        return None
    declared = mime.extract(response.headers.get("content-type"))
    text, _ = decode(start, declared.charset if declared else None, host)
    text = text.replace("\0", "").rstrip("\ufffd")
    while len(json.dumps(text)) > MAX_BODY_BYTES:
        text = text[: len(text) * MAX_BODY_BYTES // len(json.dumps(text))]
    return text
