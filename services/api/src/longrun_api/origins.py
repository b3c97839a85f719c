"""Check the origin of requests that change something, as a defence against cross-site request forgery.

A page of another origin can send a POST without a preflight (a form, or `fetch` with `mode: "no-cors"`). Browsers send
the origin of such a request in `Origin` (RFC 6454) and `Sec-Fetch-Site` (W3C Fetch Metadata); a page cannot forge
either. Other clients send neither header, and this check lets them pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from longrun_api.hosts import Authority, parse_authority
from longrun_api.problems import HttpError

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""
OF_THIS_ORIGIN: Final = frozenset({"same-origin", "none"})
"""Values of `Sec-Fetch-Site` for a page of this origin, and for a request of the user without a page."""
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class ForeignOrigin(HttpError):
    """A page of another origin sent a request that changes something."""

    status = 403
    slug = "foreign-origin"
    title = "Pages of other origins may not change anything"


class Origins:
    """The origins whose pages may change something: the host of the request, and the `given` origins."""

    def __init__(self, given: Iterable[str] = ()) -> None:
        self._given = frozenset(origin.lower() for origin in given)

    def check(self, host: Authority | None, origins: list[str], sites: list[str]) -> None:
        """Raise ForeignOrigin unless `Origin` and `Sec-Fetch-Site` are absent or allowed."""
        if not origins and all(site in OF_THIS_ORIGIN for site in sites):
            return
        if origins and all(origin.lower() in self._given for origin in origins):
            return
        if "cross-site" in sites or not origins or not all(_is_of(host, origin) for origin in origins):
            shown = f"the origin {origins[0][:100]!r}" if origins else "another site"
            raise ForeignOrigin(
                f"a page of {shown} sent this request; the server's operator can set LONGRUN_ALLOWED_ORIGINS"
            )


def _is_of(host: Authority | None, origin: str) -> bool:
    scheme, _, rest = origin.lower().partition("://")
    theirs = parse_authority(rest)
    default = DEFAULT_PORTS.get(scheme)
    if host is None or theirs is None or default is None:
        return False
    return theirs.name == host.name and (theirs.port or default) == (host.port or default)
