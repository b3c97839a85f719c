"""Checks of request headers before routing: the host, the origin, and headers that this server does not support."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from jobcore.errors import LongrunError
from longrun_api.connection_errors import MalformedRequest
from longrun_api.hosts import Hosts
from longrun_api.origins import SAFE_METHODS, Origins
from longrun_api.prefixes import own_path
from longrun_api.problems import HttpError, problem

PROBES: Final = frozenset({"/healthz", "/readyz"})
"""Paths for which the host is not checked: they reveal nothing, and load balancers use any host name for them."""
PRECONDITIONS: Final = {
    b"if-match": "If-Match",
    b"if-none-match": "If-None-Match",
    b"if-unmodified-since": "If-Unmodified-Since",
}
"""Headers that protect a change against a concurrent one; where they are not honoured, they are refused."""
TAKES_IF_MATCH: Final = re.compile("(PATCH /(queues|schedules)|(POST|DELETE) /schedules|PUT /rate-limits)/.")
"""The method and path of the changes that honour If-Match."""
TRANSFER: Final = frozenset({b"expect", b"transfer-encoding"})
CHECKED: Final = frozenset({b"host", b"origin", b"sec-fetch-site", *TRANSFER, *PRECONDITIONS})


class HeaderNotSupported(HttpError):
    """The request relies on a header that this server does not support."""

    status = 400
    slug = "header-not-supported"
    title = "The request relies on a header that this server does not support"


class UnknownTransferCoding(HttpError):
    """The body has a transfer coding other than `chunked` (RFC 9112, section 6.1)."""

    status = 501
    slug = "transfer-coding-not-supported"
    title = "The server does not support the transfer coding of the request body"


class ExpectationFailed(HttpError):
    """The request expects something other than `100-continue` (RFC 9110, section 10.1.1)."""

    status = 417
    slug = "expectation-failed"
    title = "The server does not meet this expectation"


class HeaderChecks:
    """ASGI middleware that refuses requests by their headers, with a problem document."""

    def __init__(self, app: ASGIApp, hosts: Hosts, origins: Origins) -> None:
        self._app = app
        self._hosts = hosts
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http":
            try:
                self._check(scope)
            except LongrunError as error:
                await problem(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            if name in CHECKED:
                headers.setdefault(name, []).append(value.decode("latin-1"))
        host_values, version = headers.pop(b"host", []), scope["http_version"]
        if own_path(scope) in PROBES:
            host = self._hosts.parse(host_values, version)
        else:
            server = scope.get("server")
            host = self._hosts.check(host_values, server[0] if server else None, version)
        if headers:
            if scope["method"] not in SAFE_METHODS:
                self._origins.check(host, headers.get(b"origin", []), headers.get(b"sec-fetch-site", []))
                if TAKES_IF_MATCH.match(f"{scope['method']} {own_path(scope)}"):
                    headers.pop(b"if-match", None)
                _refuse_preconditions(headers)
            _check_transfer(headers, version)


def _refuse_preconditions(headers: Mapping[bytes, list[str]]) -> None:
    for name, shown in PRECONDITIONS.items():
        if name in headers:
            raise HeaderNotSupported(f"{shown} is not supported; send the request without it if it can do without")


def _check_transfer(headers: Mapping[bytes, list[str]], http_version: str) -> None:
    expectations = ",".join(headers.get(b"expect", []))
    if expectations and expectations.strip().lower() != "100-continue":
        raise ExpectationFailed(f"Expect must be 100-continue, not {expectations[:100]!r}")
    codings = ",".join(headers.get(b"transfer-encoding", [])).lower()
    if codings and http_version == "1.0":
        raise MalformedRequest("HTTP/1.0 has no Transfer-Encoding (RFC 9112, section 6.1)")
    if codings and codings.strip() != "chunked":
        raise UnknownTransferCoding(f"Transfer-Encoding must be chunked, not {codings[:100]!r}")
