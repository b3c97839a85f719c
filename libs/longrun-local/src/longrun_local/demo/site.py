"""The web site of the demo: a lighthouse museum with the oddities of real small sites.

Its pages have several encodings, which are declared wrongly or not at all; links are absolute, relative, repeated or
not fetchable; an old address redirects.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from longrun_local.errors import StartError

HOST: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its text, its actual encoding, and its Content-Type, which may declare another encoding."""

    html: str
    encoding: str = "utf-8"
    content_type: str = "text/html; charset=utf-8"


FRONT: Final = Page("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Harbour Point Lighthouse Museum</title>
<base href="/"></head><body>
<nav><a href="/">Home</a> <a href="visit.html">Visit us</a> <a href="./ru/">Русский</a> <a href="ja/">日本語</a></nav>
<h1>Harbour Point Lighthouse</h1>
<p>Lit in 1868, automatic since 1974, and open to everyone who can climb 187 steps.
<a href="visit.html#prices">Prices</a> and <a href="/visit.html">opening hours</a>.
<p><a href="https://en.wikipedia.org/wiki/Fresnel_lens" rel="external">What a Fresnel lens is</a>,
<a href="mailto:keeper@lighthouse.example">write to the keeper</a>, <a href="javascript:print()">print</a>.
<footer>© 2026 Friends of Harbour Point</footer></body></html>""")

VISIT: Final = Page(
    """<HTML><HEAD><TITLE>Visit us — the café is open</TITLE>
<BODY BGCOLOR=white><H1>Opening hours &amp; prices</H1>
<TABLE><TR><TD>April – October<TD>10:00 – 18:00<TR><TD>Adults<TD>€ 7.50<TR><TD>Keepers’ children<TD>free</TABLE>
<H1 id=prices>How to find us</H1><P>Follow the smell of the sea, or <A HREF=..//>the signs</A>.
<A HREF="//tides.example/harbour-point?month=11&day=24">Tide table</A>""",
    encoding="windows-1252",  # a header without a charset, and unclosed tags
    content_type="text/html",
)

RUSSIAN: Final = Page(
    """<html><head><title>Маяк Харбор-Пойнт: музей у моря</title></head><body>
<h1>Добро пожаловать на маяк</h1>
<p>Маяк был зажжён в тысяча восемьсот шестьдесят восьмом году и светит до сих пор. С галереи видно весь залив,
а в ясную погоду и острова. Экскурсии каждый день, кроме понедельника. Собакам тоже можно, если они не боятся
высоты. <a href="../visit.html">Как добраться</a>, <a href="/">на главную</a>.</body></html>""",
    encoding="windows-1251",
    content_type="text/html; charset=utf-8",  # the server's default, which is wrong here
)

JAPANESE: Final = Page(
    """<html><head><title>ハーバーポイント灯台博物館</title></head><body>
<h1>灯台へようこそ</h1>
<p>この灯台は千八百六十八年に初めて点灯し、今も船の安全を守っています。百八十七段の階段を上ると、湾全体を
見渡すことができます。月曜日は休館です。<a href="../visit.html">アクセス</a>と<a href="/">トップページ</a>。
</body></html>""",
    encoding="shift_jis",
    content_type="text/html",  # Shift_JIS is not declared anywhere
)

PAGES: Final = {"/": FRONT, "/visit.html": VISIT, "/ru/": RUSSIAN, "/ja/": JAPANESE}
MOVED: Final = {"/lighthouse/index.php": "/", "/ru": "/ru/", "/ja": "/ja/"}
OLD_ADDRESS: Final = "/lighthouse/index.php"


@contextmanager
def served(port: int) -> Iterator[str]:
    """Serve the site on loopback and yield its URL; raises StartError if the port is taken."""
    try:
        server = ThreadingHTTPServer((HOST, port), _Handler)
    except OSError as error:
        raise StartError(
            f"the demo's site cannot listen on {HOST}:{port} ({error.strerror}): stop the program that uses the port, "
            f"or "
            "choose another port for both `longrun run-local` and `longrun demo`: LONGRUN_DEMO_PORT=8002"
        ) from error
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{HOST}:{port}"
        server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in MOVED:
            self._answer(HTTPStatus.MOVED_PERMANENTLY, {"Location": MOVED[path]})
        elif path in PAGES:
            page = PAGES[path]
            self._answer(HTTPStatus.OK, {"Content-Type": page.content_type}, page.html.encode(page.encoding))
        else:
            self._answer(HTTPStatus.NOT_FOUND, {"Content-Type": "text/plain"}, b"no such page\n")

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the scrape has a log of its own."""

    def _answer(self, status: HTTPStatus, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
