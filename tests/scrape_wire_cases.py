"""Answers that are HTTP only as browsers take it: heads, status lines, chunks, compressions. See `scrape_cases`."""

from __future__ import annotations

import gzip
import zlib

from tests.answers import RIGHT_BODY, answer
from tests.scrape_cases import RIGHT, UTF_8, Case, raw

HEADS = [
    raw(
        "interim-many",
        b"HTTP/1.1 102 Processing\r\n\r\n" * 9 + b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n" + answer(),
        "RFC 9110 15.2",
        **RIGHT,
    ),
    raw("head-no-colon", answer(RIGHT_BODY, "nonsense", "Content-Language: en"), "Chromium drops the line", **RIGHT),
    raw("head-space-colon", answer(RIGHT_BODY, "Content-Type : text/html", content_type=None), "Chromium", **RIGHT),
    raw(
        "head-folded",
        answer(RIGHT_BODY, "X: a\r\n b", "Content-Type: text/html", content_type=None),
        "RFC 9112 5.2",
        **RIGHT,
    ),
    raw("head-bytes", answer(RIGHT_BODY, b"X-\xff: \xfe", b"X: \xfe"), "Chromium", **RIGHT),
    raw("head-large", answer(RIGHT_BODY, *(f"X-{n}: {'y' * 1000}" for n in range(200))), "Chromium: 256 KB", **RIGHT),
    raw(
        "head-too-large",
        answer(RIGHT_BODY, *(f"X-{n}: {'y' * 1000}" for n in range(300))),
        "Chromium",
        error=("InvalidResponse", "header"),
    ),
    raw(
        "head-cut",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/ht",
        "a connection that breaks off",
        error=("ConnectionFailed", "header"),
    ),
    raw("head-garbage", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "not HTTP", error=("InvalidResponse", "not valid HTTP")),
    raw(
        "switching",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "we asked for no upgrade",
        error=("InvalidResponse", "101"),
    ),
    raw(
        "lengths-differ",
        answer(RIGHT_BODY, "Content-Length: 5"),
        "RFC 9112 6.3",
        error=("InvalidResponse", "Content-Length"),
    ),
    raw("lengths-equal", answer(RIGHT_BODY, f"Content-Length: {len(RIGHT_BODY)}"), "RFC 9112 6.3", **RIGHT),
    raw(
        "length-nonsense",
        answer(RIGHT_BODY, "Content-Length: many", length=False),
        "Chromium reads to the end",
        **RIGHT,
    ),
    raw(
        "length-short",
        answer(RIGHT_BODY, "Content-Length: 4096", length=False),
        "broke off",
        error=("IncompleteRead", "incomplete"),
    ),
    raw(
        "chunk-nonsense",
        answer(b"5\r\nhello\r\nnot-a-size\r\nworld\r\n", "Transfer-Encoding: chunked", length=False),
        "readable message",
        error=("IncompleteRead", "incomplete"),
    ),
]

GZIPPED = gzip.compress(RIGHT_BODY * 50)
CODINGS = [
    *(
        raw(f"coding-{name}", answer(RIGHT_BODY, f"Content-Encoding: {name}"), "Chromium: unknown is identity", **RIGHT)
        for name in ("none", "UTF-8", "iso-8859-1", "identity", "text", "binary", ",")
    ),
    raw("coding-x-gzip", answer(gzip.compress(RIGHT_BODY), "Content-Encoding: X-GZip"), "RFC 9110 8.4.1.3", **RIGHT),
    raw("coding-gzip-utf-8", answer(gzip.compress(RIGHT_BODY), "Content-Encoding: gzip, utf-8"), "Chromium", **RIGHT),
    raw(
        "coding-junk-after",
        answer(gzip.compress(RIGHT_BODY) + b"\0junk", "Content-Encoding: gzip"),
        "browsers",
        **RIGHT,
    ),
    raw(
        "coding-members",
        answer(gzip.compress(RIGHT_BODY[:30]) + gzip.compress(RIGHT_BODY[30:]), "Content-Encoding: gzip"),
        "RFC 1952",
        **RIGHT,
    ),
    raw("coding-empty", answer(b"", "Content-Encoding: gzip"), "browsers", title=None),
    raw(
        "coding-half",
        answer(GZIPPED[:100], "Content-Encoding: gzip", length=False),
        "half a page",
        error=("IncompleteRead", "incomplete"),
    ),
    raw(
        "coding-half-length",
        answer(GZIPPED[:100], "Content-Encoding: gzip"),
        "half a page",
        error=("IncompleteRead", "incomplete"),
    ),
    raw(
        "coding-deflate-lie",
        answer(RIGHT_BODY, "Content-Encoding: deflate"),
        "curl 61",
        error=("UnreadableBody", "cannot decompress"),
    ),
    raw(
        "coding-brotli",
        answer(b"\x0b\x02\x80hello\x03", "Content-Encoding: br"),
        "not asked for",
        error=("UnknownEncoding", "br"),
    ),
]


def status(name: str, line: bytes) -> Case:
    """A page under this status line, which browsers take for 200."""
    return raw(f"status-{name}", answer().replace(b"HTTP/1.1 200 OK", line), "Chromium: ParseStatusLine", **RIGHT)


STATUSES = [
    status("lower", b"http/1.1 200 ok"),
    status("two", b"HTTP/2 200"),
    status("icy", b"ICY 200 OK"),
    status("no-code", b"HTTP/1.1"),
    status("glued", b"HTTP/1.1 200OK"),
    status("spaces", b"HTTP/1.1  200  OK"),
    status("blank-lines", b"\r\n\r\nHTTP/1.1 200 OK"),
    status("junk", b"xxHTTP/1.1 200 OK"),
    status("interim-no-reason", b"HTTP/1.1 103\r\n\r\nHTTP/1.1 200"),
    raw("head-nul", answer(RIGHT_BODY, b"X: a\0b", b"Y: a\r\rb"), "RFC 9110 5.5, RFC 9112 2.2", **RIGHT),
    raw("head-one-long", answer(RIGHT_BODY, "X: " + "y" * 200_000), "Chromium: 256 KB", **RIGHT),
    raw("head-of-nothing", RIGHT_BODY, "no HTTP/0.9", error=("InvalidResponse", "not valid HTTP")),
    raw(
        "head-interim-flood", b"HTTP/1.1 100 C\r\n\r\n" * 500, "no end", error=("InvalidResponse", "interim responses")
    ),
    raw("type-long", answer(content_type="text/" + "a" * 60_000), "a result stays small", truncated=[], title=None),
    raw("empty", answer(b"", content_type="text/html"), "HTML 13.2.3.2: nothing to see", title=None, charset="utf-8"),
]


def chunked(*pieces: bytes, coding: str = "chunked") -> bytes:
    """An answer whose body is sent as these bytes, in chunks."""
    return answer(b"".join(pieces), f"Transfer-Encoding: {coding}", content_type=UTF_8, length=False)


def chunk(body: bytes = RIGHT_BODY, after: bytes = b"", end: bytes = b"\r\n") -> bytes:
    """One chunk; `after` follows its size."""
    return b"%x%s%s%s%s" % (len(body), after, end, body, end)


LAST = b"0\r\n\r\n"
BROKEN_OFF = ("IncompleteRead", "incomplete")
CHUNKS = [
    raw("chunks", chunked(chunk(RIGHT_BODY[:30]), chunk(RIGHT_BODY[30:]), LAST), "RFC 9112 7.1", **RIGHT),
    raw("chunk-extension", chunked(chunk(after=b' ;a="b";c'), LAST), "RFC 9112 7.1.1", **RIGHT),
    raw("chunk-zeros", chunked(b"0000" + chunk(after=b"  "), b"000\r\n\r\n"), "Chromium", **RIGHT),
    raw("chunk-lf", chunked(chunk(end=b"\n"), b"0\n\n"), "Chromium", **RIGHT),
    raw("chunk-trailers", chunked(chunk(), b"0\r\nX: y\r\n\r\n"), "RFC 9112 7.1.2", **RIGHT),
    raw("chunk-junk-after", chunked(chunk(), LAST, b"HTTP/1.1 500 Error\r\n\r\n"), "data after the end", **RIGHT),
    raw("chunk-no-end-line", chunked(chunk(), b"0"), "nothing is missing", **RIGHT),
    raw("chunk-gzip", chunked(chunk(gzip.compress(RIGHT_BODY)), LAST, coding="gzip, chunked"), "RFC 9112 6.1", **RIGHT),
    *(
        raw(f"chunk-size-{number}", chunked(size, RIGHT_BODY, LAST), "RFC 9112 7.1", error=BROKEN_OFF)
        for number, size in enumerate([b"0x66\r\n", b"6_6\r\n", b"-66\r\n", b"\r\n", b"0" * 70_000, b"f" * 40, b"66"])
    ),
    raw("chunk-no-last", chunked(chunk()), "half a page", error=BROKEN_OFF),
    raw("chunk-too-long", chunked(b"60\r\n" + RIGHT_BODY + b"\r\n", LAST), "RFC 9112 7.1", error=BROKEN_OFF),
]

RAW = zlib.compress(RIGHT_BODY, wbits=-15)
SPLIT = gzip.compress(RIGHT_BODY[:30]), gzip.compress(RIGHT_BODY[30:])


def coded(name: str, body: bytes, coding: str, source: str) -> Case:
    """A right page under this Content-Encoding."""
    return raw(name, answer(body, f"Content-Encoding: {coding}"), source, **RIGHT)


COMPRESSED = [
    coded("coding-deflate", zlib.compress(RIGHT_BODY), "deflate", "RFC 1950"),
    coded("coding-deflate-raw", RAW, "deflate", "browsers"),
    coded("coding-deflate-gzip", gzip.compress(RIGHT_BODY), "deflate", "it says itself what it is"),
    coded("coding-twice", gzip.compress(zlib.compress(RIGHT_BODY)), "deflate, gzip", "RFC 9110 8.4"),
    coded("coding-empty-members", gzip.compress(b"") * 2000 + gzip.compress(RIGHT_BODY), "gzip", "RFC 1952 2.2"),
    # Each part of an answer may arrive alone: where it is split must make no difference.
    raw(
        "coding-members-in-chunks",
        answer(
            b"".join(chunk(piece) for piece in (SPLIT[0], SPLIT[1][:1], SPLIT[1][1:])) + LAST,
            "Transfer-Encoding: chunked",
            "Content-Encoding: gzip",
            length=False,
        ),
        "RFC 1952 2.2",
        **RIGHT,
    ),
    raw(
        "coding-twice-in-bytes",
        answer(
            b"".join(chunk(bytes([byte])) for byte in gzip.compress(zlib.compress(RIGHT_BODY))) + LAST,
            "Transfer-Encoding: chunked",
            "Content-Encoding: deflate, gzip",
            length=False,
        ),
        "RFC 9110 8.4",
        **RIGHT,
    ),
    raw(
        "coding-10000-times",
        answer(RIGHT_BODY, "Content-Encoding: " + ", ".join(["gzip"] * 10_000)),
        "curl: 5 at most",
        error=("UnreadableBody", "10000 times"),
    ),
    raw(
        "coding-one-byte",
        answer(b"\x1f", "Content-Encoding: gzip"),
        "half a page",
        error=BROKEN_OFF,
    ),
]

CASES = [*HEADS, *CODINGS, *STATUSES, *CHUNKS, *COMPRESSED]
