"""Links of pages as a browser reads them: relative to the page's base, their queries in the page's encoding.

`jobcore.outbound.urls` parses what comes out of here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import quote_from_bytes

import ada_url
import webencodings

from jobcore.outbound.urls import LONGEST_READ

NO_BASE: Final = "about:blank"
"""A base against which no relative URL can be parsed."""

_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")
_NOT_ASCII_BYTES: Final = re.compile(rb"[\x80-\xff]")

QueryEncoder = Callable[[str], str]
"""Percent-encodes the non-ASCII characters in the query of a link, in the encoding of its page."""


def base_url(text: str, fallback: str, encode_query: QueryEncoder) -> str:
    """The base of relative links of a page with this `<base href>` (HTML Standard §4.2.3).

    NO_BASE for a base that is too long to be parsed again for each link.
    """
    if len(text) > LONGEST_READ:
        return NO_BASE
    try:
        base = ada_url.URL(page_href(text, encode_query), fallback)
    except ValueError:
        return fallback
    return fallback if base.protocol in ("data:", "javascript:") else base.href


def page_href(text: str, encode_query: QueryEncoder) -> str:
    """Prepare an attribute for ada, which percent-encodes queries as UTF-8, whatever the page's encoding."""
    if text.isascii():
        return text
    before, mark, fragment = text.partition("#")
    path, question, query = before.partition("?")
    return path + question + encode_query(query) + mark + fragment


def query_encoder(charset: str) -> QueryEncoder:
    """The encoder for queries in a page with this charset (URL Standard §1.3, HTML Standard §2.5.1)."""
    encoding = webencodings.lookup(charset)
    if encoding is None or encoding.name.startswith("utf-"):
        return lambda query: query

    def encode(characters: re.Match[str]) -> str:
        # A character that the charset lacks becomes &#1234;, which is then percent-encoded.
        return quote_from_bytes(encoding.codec_info.encode(characters[0], "xmlcharrefreplace")[0], safe="")

    return lambda query: _NOT_ASCII.sub(encode, query)


def header_href(value: str) -> str:
    """The value of a header as a URL reference: non-ASCII bytes are percent-encoded one by one, UTF-8 or not.

    http.client decodes headers as ISO-8859-1, so each of these characters is one byte.
    """
    return _NOT_ASCII_BYTES.sub(lambda byte: b"%%%02X" % ord(byte[0]), value.encode("latin-1", "replace")).decode()
