"""Refreshes to another URL: a Refresh header or `<meta http-equiv=refresh>` (HTML Standard §4.2.5.3)."""

from __future__ import annotations

import re
from typing import Final

MAX_DELAY_S: Final = 10
"""A refresh with a longer delay does not count as a redirect, because the page is meant to be read."""

_SPACE: Final = r"[\t\n\f\r ]"
_REFRESH: Final = re.compile(rf"{_SPACE}*(\d++|(?=\.))[\d.]*+(?:{_SPACE}*+[;,]{_SPACE}*+|{_SPACE}++)(?!\Z)", re.ASCII)
_URL: Final = re.compile(rf"url{_SPACE}*={_SPACE}*", re.IGNORECASE)


def refresh_url(content: str) -> str | None:
    """The URL, as written, of a refresh within MAX_DELAY_S seconds; None if there is none."""
    wait = _REFRESH.match(content)
    if wait is None or len(wait[1]) > 9 or int(wait[1] or 0) > MAX_DELAY_S:
        return None
    url = content[wait.end() :]
    if prefix := _URL.match(url):
        url = url[prefix.end() :]
    if url[:1] in ("'", '"'):
        url = url[1:].partition(url[0])[0]
    return url or None
