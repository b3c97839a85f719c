"""A web site that misbehaves in every way we know, on a loopback port of its own.

    with BadSite() as site:
        requests.get(site.url + "/good")

`site.host_port` is what LONGRUN_FETCH_ALLOW needs to let the scraper in; `site.requested` lists what was asked
for, oldest first. `python -m tests.badsite` serves it until Ctrl-C, to look at by hand.

| path | what it does |
|---|---|
| `/good` | a page with relative links and a `<base href>` |
| `/slow`, `/slow-headers` | a byte of the body (of the headers) every 0.2 s, without end |
| `/silent` | takes the request and never answers |
| `/loop`, `/hops/N`, `/cookie-loop` | redirects for ever; N times; until a cookie comes back |
| `/to?URL` | redirects to URL, e.g. to a private address |
| `/endless-redirect` | a redirect to `/good` with a body without end |
| `/status/N?SECONDS` | answers with that status, and with Retry-After if there is a query |
| `/busy-until` | 503 with a Retry-After date one minute ahead |
| `/huge`, `/huge-declared` | a body without end; one that a Content-Length announces as 1 TB |
| `/bomb`, `/double-bomb` | BOMB_BYTES of HTML, compressed by gzip once, twice |
| `/wrong-charset/C` | header says UTF-8, bytes are of charset C |
| `/meta-charset/C`, `/bom` | only a `<meta>` names the charset; only a byte order mark does |
| `/latin1-lie` | header says ISO-8859-1, bytes are UTF-8 |
| `/broken` | HTML that no validator would like |
| `/cut`, `/cut-chunked`, `/chunk-garbage`, `/gzip-garbage`, `/hangup` | breaks off, or sends nonsense |
| `/empty`, `/pdf`, `/json`, `/image` | nothing; and what is not HTML |
| `/brotli` | compressed in a way nobody asked for |
| `/many-links/N` | N different links |
"""

from __future__ import annotations

import contextlib
import gzip
import ssl
import threading
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

BOMB_BYTES = 300 * 1024 * 1024
TEXTS = {
    "windows-1251": ("Новости Москвы", "Сегодня в городе хорошая погода, днём до двадцати градусов."),
    "koi8-r": ("Новости Москвы", "Сегодня в городе хорошая погода, днём до двадцати градусов."),
    "shift_jis": ("東京の天気", "これは日本語の文章です。今日のニュースをお届けします。"),
    "euc-kr": ("오늘의 뉴스", "서울의 날씨는 맑습니다. 내일은 비가 오겠습니다."),
    "gb18030": ("今天的新闻", "今天天气很好，我们去公园玩。"),
    "windows-1252": ("Le café", "L’été à la française : déjà vu, señor Müller."),
    "utf-8": ("Grüße aus Köln", "Die Straße ist gesperrt."),
}
GOOD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>  The Daily
  Example </title><base href="/news/2026/"></head>
<body><h1>Today</h1><h1>Weather<br>and <em>tides</em></h1>
<a href="one.html">First <b>story</b></a>
<a href="../archive#old" rel="nofollow noopener">Archive</a>
<a href="one.html#comments">First story, comments</a>
<a href="//cdn.example.org/x.js">Elsewhere</a>
<a href="https://example.com/?q=a&amp;b=c">A query</a>
<a href="mailto:news@example.com">Mail</a> <a href="javascript:alert(1)">Script</a> <a>nothing</a>
</body></html>"""
BROKEN = """<html><head><title>Broken &amp; bent</titel></title><body><h1>One<h1>Two</h1>
<p><a href="/a">un<b>closed <a href='/b'>quoted' <a href=/c>bare</a></p></div></table>
<a href="http://[oops/">bad</a><a href="//">none</a><h1>Three &#0; &#xD800; &bogus;"""


def charset_page(charset: str, meta: bool = False) -> bytes:
    title, text = TEXTS[charset]
    head = f'<meta charset="{charset}">' if meta else ""
    page = f"<html><head>{head}<title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>"
    return page.encode(charset)


@cache
def bomb() -> bytes:
    squeeze = zlib.compressobj(wbits=31)
    block = b"<p>boom</p>".ljust(1024) * 1024
    parts = [squeeze.compress(b"<title>boom</title>")]
    parts += [squeeze.compress(block) for _ in range(BOMB_BYTES // len(block))]
    return b"".join([*parts, squeeze.flush()])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.server.requested.append(self.path)
        name, _, argument = parts.path.lstrip("/").partition("/")
        handler = getattr(self, "page_" + name.replace("-", "_"), None)
        self.close_connection = True
        with contextlib.suppress(ConnectionError):
            if handler is None:
                self.answer(404, b"<title>no such page</title>")
            else:
                handler(*filter(None, [argument, unquote(parts.query)]))

    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.start(status, **{"Content_Type": "text/html", "Content_Length": str(len(body)), **headers})
        self.wfile.write(body)

    def start(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def dribble(self, data: bytes = b"x") -> None:
        while not self.server.closing.wait(0.2):
            self.wfile.write(data)

    def flood(self) -> None:
        while not self.server.closing.is_set():
            self.wfile.write(b"<p>more</p>" * 4096)

    def page_good(self) -> None:
        self.answer(200, GOOD.encode(), Content_Type="text/html; charset=utf-8")

    def page_slow(self) -> None:
        self.start(200, Content_Type="text/html")
        self.dribble()

    def page_slow_headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        self.dribble()

    def page_silent(self) -> None:
        self.server.closing.wait()

    def page_loop(self) -> None:
        self.answer(302, Location="/loop")

    def page_hops(self, left: str) -> None:
        self.answer(302, Location=f"/hops/{int(left) - 1}" if left != "1" else "/good")

    def page_cookie_loop(self) -> None:
        if "seen=1" in self.headers.get("Cookie", ""):
            self.page_good()
        else:
            self.answer(302, Location="/cookie-loop", Set_Cookie="seen=1")

    def page_to(self, url: str) -> None:
        self.answer(302, Location=url)

    def page_endless_redirect(self) -> None:
        self.start(302, Location="/good")
        self.flood()

    def page_status(self, status: str, retry_after: str = "") -> None:
        self.answer(int(status), b"<title>sorry</title>", Retry_After=retry_after)

    def page_busy_until(self) -> None:
        when = format_datetime(datetime.now(UTC) + timedelta(minutes=1), usegmt=True)
        self.answer(503, Retry_After=when)

    def page_huge(self) -> None:
        self.start(200, Content_Type="text/html")
        self.flood()

    def page_huge_declared(self) -> None:
        self.start(200, Content_Type="text/html", Content_Length=str(10**12))
        self.flood()

    def page_bomb(self) -> None:
        self.answer(200, bomb(), Content_Encoding="gzip")

    def page_double_bomb(self) -> None:
        self.answer(200, gzip.compress(bomb()), Content_Encoding="gzip, gzip")

    def page_wrong_charset(self, charset: str) -> None:
        self.answer(200, charset_page(charset), Content_Type="text/html; charset=utf-8")

    def page_meta_charset(self, charset: str) -> None:
        self.answer(200, charset_page(charset, meta=True))

    def page_bom(self) -> None:
        self.answer(200, charset_page("utf-8").decode().encode("utf-16"))

    def page_latin1_lie(self) -> None:
        self.answer(200, charset_page("utf-8"), Content_Type="text/html; charset=ISO-8859-1")

    def page_broken(self) -> None:
        self.answer(200, BROKEN.encode())

    def page_cut(self) -> None:
        self.answer(200, b"<title>half</title>", Content_Length="4096")

    def page_cut_chunked(self) -> None:
        self.start(200, Content_Type="text/html", Transfer_Encoding="chunked")
        self.wfile.write(b"1000\r\n<title>half</title>")

    def page_chunk_garbage(self) -> None:
        self.start(200, Content_Type="text/html", Transfer_Encoding="chunked")
        self.wfile.write(b"5\r\nhello\r\nnot-a-size\r\nworld\r\n")

    def page_gzip_garbage(self) -> None:
        self.answer(200, b"this was never compressed", Content_Encoding="gzip")

    def page_hangup(self) -> None:
        """Says nothing and closes."""

    def page_empty(self) -> None:
        self.answer(200)

    def page_pdf(self) -> None:
        self.answer(200, b"%PDF-1.7\n<title>not a title</title>", Content_Type="application/pdf")

    def page_json(self) -> None:
        self.answer(200, b'{"title": "no"}', Content_Type="application/json; charset=utf-8")

    def page_image(self) -> None:
        self.answer(200, b"\x89PNG\r\n\x1a\n\0\0<h1>", Content_Type="image/png")

    def page_brotli(self) -> None:
        self.answer(200, b"\x0b\x02\x80hello\x03", Content_Encoding="x-brotli")

    def page_many_links(self, count: str) -> None:
        links = "".join(f'<a href="/page/{n}">page {n}</a>\n' for n in range(int(count)))
        self.answer(200, f"<title>links</title>{links}".encode())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.closing = threading.Event()
        self.requested: list[str] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""


class BadSite:
    """The site, served by threads of this process while the `with` block lasts; over TLS if given a context."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls

    def __enter__(self) -> Self:
        self._server = _Server(self._tls)
        self.host_port = f"127.0.0.1:{self._server.server_port}"
        self.url = f"{'https' if self._tls else 'http'}://{self.host_port}"
        self.requested = self._server.requested
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="badsite")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


if __name__ == "__main__":
    with BadSite() as site, contextlib.suppress(KeyboardInterrupt):
        print(site.url, flush=True)
        threading.Event().wait()
