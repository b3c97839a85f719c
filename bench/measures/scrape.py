"""The time that the scraper takes to read a fetched page: a usual one, and one made to be slow."""

from __future__ import annotations

import time

from bench.figures import Row, milliseconds, rate
from bench.scale import Scale
from bench.stage import Stage, say
from longrun_scraper.parse import parse

PAGE_BYTES = 61 * 1024
FLOOD_BYTES = 1024 * 1024
ROUNDS = 5
ROUND_S = 1.0
ARTICLE = (
    '<article class="card"><h2><a href="/news/{0}.html" rel="bookmark">Story <em>{0}</em></a></h2>'
    '<p>Some <b>words</b> about it, and a <a href="https://example.com/{0}?a=b&amp;c=d">link</a>.<br>'
    '<img src="/{0}.png" alt="A picture"></p></article>\n'
)


def page() -> bytes:
    """A page of articles with PAGE_BYTES bytes."""
    head = '<!DOCTYPE html><html><head><meta charset="utf-8"><title>News</title></head><body><h1>News</h1>\n'
    articles = "".join(ARTICLE.format(number) for number in range(PAGE_BYTES // len(ARTICLE) + 1))
    return (head + articles).encode()[:PAGE_BYTES]


def read(body: bytes) -> float:
    """Seconds of CPU to read this page."""
    started = time.process_time()
    parse(body, "text/html; charset=utf-8", "https://example.org/", 1000)
    return time.process_time() - started


def pages_a_second(body: bytes) -> float:
    """Pages per second of CPU, measured over ROUND_S seconds of CPU."""
    count, took = 0, 0.0
    while took < ROUND_S:
        took += read(body)
        count += 1
    return count / took


def measure(stage: Stage, scale: Scale) -> list[Row]:
    """Two rows: pages per second, and the slow page."""
    article, flood = page(), b"<h1>x" + b"<br>" * (FLOOD_BYTES // 4)
    read(article)
    rates = [pages_a_second(article) for _ in range(ROUNDS)]
    floods = [read(flood) for _ in range(ROUNDS)]
    say(f"  {rate(rates)} pages a second a core, 1 MiB of <br> in {milliseconds(min(floods), max(floods))}")
    return [
        Row(what="pages scraped, a second a core", longrun=rate(rates), note="61 KB, read only: no network, no job"),
        Row(
            what="  and 1 MiB of `<br>`, fastest / slowest",
            longrun=milliseconds(min(floods), max(floods)),
            note="90,000 of them stopped both children before the walk was linear",
        ),
    ]
