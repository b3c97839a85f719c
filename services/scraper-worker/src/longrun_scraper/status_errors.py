"""Convert a response with an error status to an error of the task, with details of the response."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

import requests
from urllib3.exceptions import HTTPError

from jobcore import PermanentError, RetryableError
from jobcore.outbound.urls import WebUrl
from longrun_scraper import mime
from longrun_scraper.charset import decode
from longrun_scraper.errors import HttpStatusError, ServerUnavailable
from longrun_scraper.retry_after import delay_s

WORTH_A_RETRY: Final = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
MAX_HEADER: Final = 1000
"""Characters of a header field that an error contains."""
MAX_HEADERS_BYTES: Final = 4096
MAX_BODY_BYTES: Final = 2048
"""Limits of all header fields and of the start of the body, in bytes of ASCII JSON. `error` may have 16 KiB."""

_READ: Final = 8192
_SECRET: Final = ("set-cookie", "set-cookie2")


def status_error(response: requests.Response, at: WebUrl, body: Iterator[bytes]) -> HttpStatusError | ServerUnavailable:
    """The error for a response with a status of 400 or more; only the first pieces of `body` are read."""
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
    """The header fields within their limits, without cookies, which are secrets."""
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
    """Up to _READ bytes of the body; errors while reading it are ignored."""
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
    """The start of the body as text; None if it is not text."""
    if not start or mime.is_binary(start):
        return None
    declared = mime.extract(response.headers.get("content-type"))
    text, _ = decode(start, declared.charset if declared else None, host)
    text = text.replace("\0", "").rstrip("\ufffd")
    while len(json.dumps(text)) > MAX_BODY_BYTES:
        text = text[: len(text) * MAX_BODY_BYTES // len(json.dumps(text))]
    return text
