"""Extract the title, headings and links of a page, whatever the quality of its markup."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from bs4 import Tag

from jobcore.outbound.errors import InvalidUrl, UrlTooLong
from jobcore.outbound.urls import web_url
from longrun_scraper import mime
from longrun_scraper.charset import decode
from longrun_scraper.document import Document, Link
from longrun_scraper.passages import Passage, passages_of
from longrun_scraper.refresh import refresh_url
from longrun_scraper.soup import soup
from longrun_scraper.urls import NO_BASE, QueryEncoder, base_url, page_href, query_encoder

MAX_TEXT: Final = 1000
"""Characters of a title, a heading or a link's text that are kept."""
MAX_HEADINGS: Final = 100
MAX_REL: Final = 20
"""Words of a `rel` attribute that are kept, each of at most 100 characters."""
MAX_H1_BYTES: Final = 256 * 1024
MAX_LINKS_BYTES: Final = 512 * 1024
"""Limits of all headings and of all links, in bytes of ASCII JSON, so that a result stays below 1 MiB."""

_HTML: Final = {"text/html", "application/xhtml+xml"}
# PostgreSQL cannot store NUL in a JSON value, and UTF-8 cannot encode surrogates.
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def parse(body: bytes, content_type: str | None, url: str, max_links: int) -> Document:
    """Parse a page from `url` with this Content-Type header. Never raises, whatever the bytes."""
    declared = mime.extract(content_type) or mime.MimeType(mime.sniff(body) or "")
    if declared.essence not in _HTML:
        label = declared.charset and _clean(declared.charset).lower()[:MAX_TEXT]
        return Document(content_type=declared.essence or None, charset=label)
    text, charset = decode(body, declared.charset, web_url(url).host)
    page, cut = soup(text)
    passages = passages_of(page)
    encode_query = query_encoder(charset)
    base = _base(passages, url, encode_query)
    title, title_cut = _title(passages)
    h1, h1_cut = _headings(passages)
    links, links_cut = _links(passages, base, encode_query, max_links)
    incomplete = {"title": title_cut, "h1": h1_cut, "links": links_cut, "body": cut}
    return Document(
        content_type=declared.essence,
        charset=charset,
        title=title,
        h1=h1,
        links=links,
        truncated=[name for name, is_cut in incomplete.items() if is_cut],
        refresh=_refresh(passages, base, encode_query),
    )


def _base(passages: list[Passage], url: str, encode_query: QueryEncoder) -> str:
    """The base of relative links: the first `<base href>`, wherever it is in the page (HTML Standard §4.2.3)."""
    href = next((_attribute(passage.tag, "href") for passage in passages if passage.tag.name == "base"), None)
    return url if href is None else base_url(href, url, encode_query)


def _refresh(passages: list[Passage], base: str, encode_query: QueryEncoder) -> str | None:
    for passage in passages:
        if passage.tag.name == "meta" and _attribute(passage.tag, "http-equiv").lower() == "refresh":
            target = refresh_url(_attribute(passage.tag, "content"))
            try:
                return target and web_url(page_href(target, encode_query), base).href
            except InvalidUrl:
                return None
    return None


def _title(passages: list[Passage]) -> tuple[str | None, bool]:
    text = next((passage.text for passage in passages if passage.tag.name == "title"), "")
    return _cut(_clean(text)) or None, len(text) > MAX_TEXT


def _headings(passages: list[Passage]) -> tuple[list[str], bool]:
    """The headings with a text, and whether any of them or of their texts was truncated."""
    kept: list[str] = []
    size, cut = 0, False
    for passage in passages:
        text = _clean(passage.text) if passage.tag.name == "h1" else ""
        if not text:
            continue
        size += _json_bytes(_cut(text))
        if len(kept) == MAX_HEADINGS or size > MAX_H1_BYTES:
            return kept, True
        kept.append(_cut(text))
        cut = cut or len(text) > MAX_TEXT
    return kept, cut


def _links(passages: list[Passage], base: str, encode_query: QueryEncoder, limit: int) -> tuple[list[Link], bool]:
    """The links of a page, each URL once with its first text, and whether any was truncated."""
    links: dict[str, Link] = {}
    size, cut = 0, base == NO_BASE
    for passage, href in _hrefs(passages):
        try:
            url = web_url(page_href(href, encode_query), base).href
        except UrlTooLong:
            cut = True
            continue
        except InvalidUrl:  # web_scrape cannot fetch mailto:, javascript: and the like
            continue
        if url in links:
            continue
        text = _clean(passage.text or _attribute(passage.tag, "alt"))
        rel = [_clean(word) for word in _attribute(passage.tag, "rel").split(maxsplit=MAX_REL)]
        link = Link(url=url, text=_cut(text), rel=[word[:100] for word in rel[:MAX_REL]])
        size += _json_bytes(link.model_dump())
        if len(links) == limit or size > MAX_LINKS_BYTES:
            return list(links.values()), True
        links[url] = link
        cut = cut or len(text) > MAX_TEXT or rel != link.rel
    return list(links.values()), cut


def _hrefs(passages: list[Passage]) -> Iterator[tuple[Passage, str]]:
    """The targets of links, image maps and frames as written, without fragments; each spelling once."""
    attributes = {"a": "href", "area": "href", "frame": "src"}
    seen: set[str] = set()
    for passage in passages:
        if passage.tag.name in attributes:
            href = _attribute(passage.tag, attributes[passage.tag.name]).partition("#")[0]
            if href not in seen:
                seen.add(href)
                yield passage, href


def _attribute(tag: Tag, name: str) -> str:
    value = tag.get(name) or ""
    return value if isinstance(value, str) else " ".join(value)


def _cut(text: str) -> str:
    return text[:MAX_TEXT].rstrip()


def _json_bytes(value: Any) -> int:
    return len(json.dumps(value))


def _clean(text: str) -> str:
    return " ".join(_UNSTORABLE.sub("", text).split())
