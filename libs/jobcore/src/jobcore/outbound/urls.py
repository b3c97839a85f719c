"""Parse URLs as a browser does (WHATWG URL Standard), with the parser ada everywhere from the input to the socket.

The guard checks the URL that `web_url` returns, and the connection and the request use it too. requests and urllib3
have parsers of their own; `guard` refuses a request if they parse another host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import ada_url

from jobcore.outbound.errors import InvalidUrl, UrlTooLong

MAX_URL_LENGTH: Final = 8192
"""Maximum length of a normalised URL, in characters (RFC 9110 §4.1 recommends to support 8,000)."""
LONGEST_READ: Final = 4 * MAX_URL_LENGTH
"""Maximum length of a URL before it is normalised, in characters."""

_PORTS: Final = {"http": 80, "https": 443}
_HOST_PORT: Final = re.compile(r"(\[[0-9a-f:]+\]|[^:]+)(?::([0-9]+))?")
_SCHEME: Final = re.compile(r"[\x00-\x20]*([a-z][a-z0-9+.-]*):", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class WebUrl:
    """An http(s) URL as normalised by ada: in ASCII, without user name and fragment."""

    href: str

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return self.href.partition(":")[0]

    @property
    def host(self) -> str:
        """A name, an IPv4 address in dotted decimal form, or an IPv6 address without brackets."""
        return _HOST_PORT.fullmatch(self._authority)[1].strip("[]")  # type: ignore[index]

    @property
    def port(self) -> int:
        """The port in the URL, or the default port of its scheme."""
        port = _HOST_PORT.fullmatch(self._authority)[2]  # type: ignore[index]
        return int(port) if port else _PORTS[self.scheme]

    @property
    def target(self) -> str:
        """Path and query, as in the request line."""
        return "/" + self.href.split("/", 3)[3]

    @property
    def _authority(self) -> str:
        return self.href.split("/", 3)[2]


def web_url(text: str, base: str | None = None) -> WebUrl:
    """Parse a URL, relative to `base` if given; raises InvalidUrl, which says what to change.

    Whether its host is allowed is checked only when connecting.
    """
    if len(text) > LONGEST_READ:
        raise UrlTooLong(f"the URL has {len(text)} characters; at most {MAX_URL_LENGTH} are allowed")
    try:
        url = WebUrl(ada_url.URL(text, base).href.partition("#")[0])
    except ValueError:
        raise InvalidUrl(_why_invalid(text, base)) from None
    if url.scheme not in _PORTS:
        raise InvalidUrl(f"{_short(text)} must start with http:// or https://")
    if "@" in url._authority:
        raise InvalidUrl("the URL contains a user name or a password: remove it")
    if len(url.href) > MAX_URL_LENGTH:
        raise UrlTooLong(f"the URL has {len(url.href)} characters; at most {MAX_URL_LENGTH} are allowed")
    return url


def _why_invalid(text: str, base: str | None) -> str:
    scheme = _SCHEME.match(text)
    if base is None and (scheme is None or scheme[1].lower() not in _PORTS):
        return f"{_short(text)} must start with http:// or https://"
    if scheme is not None and not text[scheme.end() :].strip("/\\ \t\r\n"):
        return f"{_short(text)} has no host: write it like https://example.com/page"
    return f"{_short(text)} is not a URL: write it like https://example.com/page"


def _short(text: str) -> str:
    return repr(text if len(text) <= 200 else text[:200] + "…")
