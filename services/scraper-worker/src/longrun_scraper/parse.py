"""What a page says: its title, headings and links, out of bytes of whatever quality."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, urldefrag, urljoin

from bs4 import BeautifulSoup, SoupStrainer, Tag
from pydantic import BaseModel, ConfigDict

from longrun_scraper.charset import decode
from longrun_scraper.guard import InvalidUrl, check_url

MAX_TEXT: Final = 1000
"""Characters of a title, a heading or a link's text that are kept."""
MAX_HEADINGS: Final = 100
MAX_PARSED: Final = 2 * 1024 * 1024
"""Characters of a page that are parsed: 10 MiB of nothing but tags take a minute and a gigabyte as a tree."""

_HTML: Final = {"text/html", "application/xhtml+xml"}
_WANTED: Final = SoupStrainer(["title", "base", "h1", "a"])
_CHARSET: Final = re.compile(r"""charset\s*=\s*["']?([^\s"';,]+)""", re.IGNORECASE)
# What PostgreSQL cannot store in a JSON value, and UTF-8 cannot carry.
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


class Link(BaseModel):
    """A link of a page: its absolute URL without fragment, its text, and what `rel` says (nofollow, …)."""

    model_config = ConfigDict(frozen=True)

    url: str
    text: str
    rel: list[str]


class Document(BaseModel):
    """What was found in a page, or in its first MAX_PARSED characters if it is `truncated`.

    Anything but HTML has no title, no headings and no links.
    """

    model_config = ConfigDict(frozen=True)

    content_type: str | None
    charset: str | None
    title: str | None = None
    h1: list[str] = []
    links: list[Link] = []
    truncated: bool = False


def parse(body: bytes, content_type: str | None, url: str, max_links: int) -> Document:
    """Read a page that came from `url` with this Content-Type header. Never raises, whatever the bytes."""
    mime, _, parameters = (content_type or "").partition(";")
    mime = _clean(mime).lower()
    declared = match[1] if (match := _CHARSET.search(parameters)) else None
    if mime not in _HTML and (mime or not body.lstrip().startswith(b"<")):
        return Document(content_type=mime or None, charset=declared and _clean(declared).lower())
    text, charset = decode(body, declared)
    soup = BeautifulSoup(_UNSTORABLE.sub("", text[:MAX_PARSED]), "lxml", parse_only=_WANTED)
    for line_break in soup("br"):
        line_break.replace_with("\n")
    return Document(
        content_type=mime or None,
        charset=charset,
        title=_text(soup.title) or None if soup.title else None,
        h1=[heading for tag in soup("h1", limit=MAX_HEADINGS) if (heading := _text(tag))],
        links=_links(soup, _base(soup, url), max_links),
        truncated=len(text) > MAX_PARSED,
    )


def _base(soup: BeautifulSoup, url: str) -> str:
    """What relative links are relative to: the first <base href>, if it can be (HTML Standard §4.2.3)."""
    tag = soup.find("base", href=True)
    return (isinstance(tag, Tag) and _absolute(str(tag["href"]), url)) or url


def _links(soup: BeautifulSoup, base: str, limit: int) -> list[Link]:
    links: dict[str, Link] = {}
    for tag in soup("a", href=True):
        if len(links) >= limit:
            break
        url = _absolute(str(tag["href"]), base)
        if url is not None and url not in links:
            rel = [_clean(word) for word in tag.get_attribute_list("rel") if word]
            links[url] = Link(url=url, text=_text(tag), rel=rel)
    return list(links.values())


def _absolute(href: str, base: str) -> str | None:
    """The URL that a browser would go to, without its fragment; None if `web_scrape` would refuse it."""
    try:
        url = urldefrag(urljoin(base, href.strip())).url
        url = re.sub(r"\s", lambda space: quote(space[0]), url)
        check_url(url)
    except (ValueError, InvalidUrl):
        return None
    return url


def _text(tag: Tag) -> str:
    return _clean(tag.get_text())


def _clean(text: str) -> str:
    return " ".join(_UNSTORABLE.sub("", text).split())[:MAX_TEXT]
