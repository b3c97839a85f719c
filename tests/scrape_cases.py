"""Pages that browsers read and scrapers misread: what `web_scrape` must say of each, and who says so.

A case with neither `body` nor `whole` is a file of `tests/cases/scrape/`: `NAME.html` is a body that is sent with
`content_type`, `NAME.http` a whole answer. Its page URL is `SITE/x/NAME`. In what is expected, `SITE` stands for
scheme, host and port. `links` are URLs, `texts` what the links say; `error` is the name of the error's class and a
part of its message.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.answers import RIGHT_BODY, answer, redirect

FOLDER = Path(__file__).parent / "cases" / "scrape"
UTF_8 = "text/html; charset=utf-8"
RIGHT: dict[str, Any] = {"title": "Right page", "status_code": 200}
POLISH = "Zażółć gęślą jaźń – Źródło"


@dataclass(frozen=True)
class Case:
    """One page, what must come out, and the source of truth."""

    name: str
    expected: dict[str, Any]
    source: str
    content_type: str = UTF_8
    body: bytes | None = None
    whole: bytes | None = None

    @property
    def answer(self) -> bytes:
        """What the server sends."""
        if self.whole is not None:
            return self.whole
        if self.name.endswith(".http"):
            return (FOLDER / self.name).read_bytes()
        body = self.body if self.body is not None else (FOLDER / self.name).read_bytes()
        return answer(body, content_type=self.content_type)


def file(name: str, source: str, content_type: str = UTF_8, **expected: Any) -> Case:
    """A case in a file."""
    return Case(name, expected, source, content_type)


def page(name: str, body: str | bytes, source: str, content_type: str = UTF_8, **expected: Any) -> Case:
    """A case written here, as a body."""
    return Case(name, expected, source, content_type, body if isinstance(body, bytes) else body.encode())


def raw(name: str, given: bytes, source: str, **expected: Any) -> Case:
    """A case written here, as a whole answer."""
    return Case(name, expected, source, whole=given)


def hop(name: str, *locations: str | bytes, to: str, source: str) -> Case:
    """A redirect, and the request that it must lead to."""
    return Case(name, {"final_url": "SITE" + to, **RIGHT}, source, whole=redirect(*locations))


FILES = [
    file("br90k.http", "langflow#15122; replace_with is quadratic", title=None, h1=["x"]),
    file("stray-byte.html", "browsers, Scrapy: header and meta say utf-8", title="Café – Menu’s", charset="utf-8"),
    file("e-cut.html", "page cut inside a character", title="Größer"),
    file("e-meta-comment.html", "WHATWG prescan; w3lib#305", "text/html", title="Привет, мир и все люди"),
    file("e-meta-bogus.html", "WHATWG prescan passes over unknown labels", "text/html", title=POLISH),
    file("e-meta-desc.html", "obscura#565", "text/html", title="größer"),
    file("e-hdr-x.html", "w3lib test_http_encoding_header", "text/html; xcharset=gbk", title="größer"),
    file("e-meta-xuser.html", "WHATWG: x-user-defined in meta is windows-1252", "text/html", title="grün"),
    file("e-gbk-nodecl.html", "firecrawl#1277", "text/html", title="你好世界"),
    file("e-pl-nodecl.html", "chardetng", "text/html", title=POLISH),
    file("e-1252-quotes.html", "chardetng", "text/html", title="“Smart” – it’s €5"),
    file(
        "hrefquery1251.html",
        "URL + HTML Standard, Scrapy",
        "text/html",
        links=["SITE/x/hrefquery1251.html?q=%EF%F0%E8%E2%E5%F2"],
    ),
    file(
        "hrefzwnj.html",
        "URL Standard: Persian ZWNJ, emoji ZWJ",
        links=[
            "SITE/wiki/%D9%85%DB%8C%E2%80%8C%D8%AE%D9%88%D8%A7%D9%87%D9%85",
            "SITE/tag/%F0%9F%91%A9%E2%80%8D%F0%9F%92%BB",
            "SITE/next",
        ],
    ),
    file("hreflong.html", "browsers", links=["SITE/" + "a" * 3000, "SITE/next"], truncated=[]),
    file("hrefemptyseg.html", "cpython#84774; WPT", links=["SITE/x/r/http://example.org/y", "SITE/x//z"]),
    file("hrefbackslash.html", "WPT", links=["SITE/a/b", "SITE/c/d", "http://example.org/z"]),
    file("hrefcase.html", "WPT: case, default port, dot segments", links=["http://example.org/A"]),
    file("hrefspace.html", "WPT; 283 doubles in 1140 real pages", links=["http://example.org/"]),
    file("basenoscript.html", "w3lib#303", links=["SITE/good/x"]),
    file("basetemplate.html", "HTML Standard", links=["SITE/x/x"]),
    file("area.html", "HTML 4.6.2; Scrapy LinkExtractor", links=["SITE/area"], texts=["Area"]),
    file("templatelink.html", "HTML Standard; sheego.de: 50 of 71 links", links=[], h1=["Right"]),
    file("svgtitle.html", "document.title", title=None, h1=["Right"]),
    file("titlenoscript.html", "browser with scripting", title="Right page"),
    file("h1nested.html", "HTML 13.2.6.4.7", h1=["A", "B", "C"]),
    file("h1h2.html", "HTML 13.2.6.4.7; 4 of 1140 real pages", h1=["A"]),
    file("h1img.html", "alt is the heading; 10 of 380 real pages", h1=["Acme Site"]),
    file("ablock.html", "innerText; 26 of 380 real pages", texts=["Title Teaser text", "Head Para", "a b"]),
    file("aimg.html", "accname; 3505 of 5991 empty link texts", texts=["Alt text", "Lab"]),
    file("h-100h1.html", "limit=100 counts empty headings", h1=["Right"], truncated=[]),
    file("r-latin2.http", "requests#4926, scrapy PR 2322", final_url="SITE/p%B1ge", **RIGHT),
    file("r-leading-space.http", "RFC 9110 5.5", final_url="SITE/ok", **RIGHT),
    file("r-two.http", "browsers take equal ones as one", final_url="SITE/ok", **RIGHT),
    file("r-tab.http", "URL Standard", final_url="SITE/ok", **RIGHT),
    file("r-meta-refresh.http", "browsers, Scrapy (scrapy#7042)", final_url="SITE/ok", **RIGHT),
    file("s-103first.http", "RFC 9110 15.2; nab#1130", **RIGHT),
    file("e-utf8.http", "Chromium, httpx#196", **RIGHT),
    file("e-gzip-lie.http", "curl 61", error=("UnreadableBody", "cannot decompress the page")),
    file("t-comma.http", "Fetch: extract a MIME type", content_type_is="text/html", **RIGHT),
    file("t-two.http", "Fetch: the last valid Content-Type wins", content_type_is="text/html", **RIGHT),
    file("t-nosemi.http", "MIME Sniffing: not a MIME type, so sniff", content_type_is="text/html", **RIGHT),
    file("t-star.http", "MIME Sniffing", content_type_is="text/html", **RIGHT),
    file("h-many.http", "warcprox#119, streamrip#1033", **RIGHT),
    file("k-trunc.http", "readable message", error=("IncompleteRead", "incomplete")),
]


def legacy(name: str, charset: str, title: str, text: str, codec: str | None = None) -> Case:
    """A page in a legacy encoding that nothing declares."""
    body = f"<html><head><title>{title}</title></head><body><p>{text}</p></body></html>".encode(codec or charset)
    return page(name, body, "chardetng", "text/html", title=title, charset=charset)


ENCODINGS = [
    legacy("czech", "windows-1250", "Příliš žluťoučký kůň", "Nejnovější zprávy z domova i ze světa"),
    legacy("czech-iso", "iso-8859-2", "Příliš žluťoučký kůň", "Nejnovější zprávy z domova i ze světa"),
    legacy("hungarian", "windows-1250", "Árvíztűrő tükörfúrógép", "Friss hírek és időjárás – Magyarország"),
    legacy("turkish", "windows-1254", "İstanbul’da hava durumu", "Bugün güneşli bir gün bekleniyor, şimdi öğle"),
    legacy("lithuanian", "windows-1257", "Lietuvos žinių agentūra", "Šiandien Vilniuje saulėta, rytoj ūkanota"),
    legacy("latvian", "windows-1257", "Latvijas ziņas", "Šodien Rīgā būs saulains laiks, vējš mērens"),
    legacy("chinese-short", "gbk", "你好世界", "欢迎"),
    legacy("chinese-traditional", "big5", "你好世界", "歡迎光臨我的網站"),
    legacy("thai", "windows-874", "ข่าววันนี้", "สภาพอากาศในกรุงเทพมหานครวันนี้", "cp874"),
    legacy("hebrew", "windows-1255", "חדשות היום", "מזג האוויר היום בתל אביב"),
    legacy("arabic", "windows-1256", "أخبار اليوم", "الطقس اليوم في القاهرة مشمس"),
    legacy("greek", "windows-1253", "Ειδήσεις σήμερα", "Ο καιρός σήμερα στην Αθήνα"),
    legacy("russian-dos", "ibm866", "Новости Москвы", "Сегодня в городе хорошая погода", "cp866"),
    legacy("japanese-mail", "iso-2022-jp", "東京の天気", "これは日本語の文章です"),
    legacy("japanese-euc", "euc-jp", "東京の天気", "これは日本語の文章です"),
    legacy("korean", "euc-kr", "오늘의 뉴스", "서울의 날씨는 맑습니다"),
    legacy("utf-16-le", "utf-16le", "Größe", "Über uns"),
    legacy("utf-16-be", "utf-16be", "你好世界你好世界", "欢迎"),
    page("header-first", "<meta charset=gbk><title>größer</title>", "HTML 13.2.3.2", title="größer", charset="utf-8"),
    page("cut-two-of-three", "<title>€ 5</title>€".encode()[:-1], "page cut inside a character", title="€ 5"),
    page(
        "meta-late",
        b"<!--" + b" " * 5000 + b"--><meta charset=windows-1251><title>" + "Привет".encode("cp1251") + b"</title>",
        "HTML 13.2.3.4, changing the encoding while parsing",
        "text/html",
        title="Привет",
    ),
    page(
        "meta-data-charset",
        b'<meta data-charset="gbk"><title>gr\xfcn und sch\xf6n</title>',
        "WHATWG prescan: only `charset`",
        "text/html",
        title="grün und schön",
        charset="windows-1252",
    ),
    page(
        "meta-pragma",
        b"<meta content='text/html; charset=\"windows-1251\"' http-equiv=Content-Type><title>"
        + "Да".encode("cp1251")
        + b"</title>",
        "html5lib-tests encoding/tests1.dat",
        "text/html",
        title="Да",
    ),
    page("meta-utf-16", "<meta charset=utf-16><title>größer</title>", "WHATWG prescan", "text/html", title="größer"),
    page("meta-in-title", "<title><meta charset=gbk></title>é", "WHATWG prescan sees it", "text/html", charset="gbk"),
    page(
        "meta-in-title-late",
        "<!--" + "-" * 1024 + "--><title><meta charset=gbk></title>é",
        "HTML 13.2.3.4: only elements count",
        "text/html",
        charset="utf-8",
    ),
    page("header-quotes", "<title>größer</title>", "Chromium", "text/html; charset='UTF-8'", title="größer"),
    page(
        "bom-wins",
        b"\xef\xbb\xbf<title>gr\xc3\xb6\xc3\x9fer</title>",
        "WHATWG",
        "text/html; charset=gbk",
        title="größer",
    ),
]

TYPES = [
    page(f"type-{number}", RIGHT_BODY, "Fetch and MIME Sniffing Standards", given, content_type_is="text/html", **RIGHT)
    for number, given in enumerate(
        [
            "html",
            "charset=utf-8",
            "unknown/unknown",
            "application/unknown",
            "*/*, text/html",
            "text/html, */*",
            "text/plain, text/html;charset=utf-8",
            'text/html;x=",";charset=utf-8',
            "TEXT/HTML;CHARSET=UTF-8",
            " text/html ; charset=utf-8",
            ";",
        ]
    )
] + [
    page(
        "type-plain",
        RIGHT_BODY,
        "Fetch: text is not HTML",
        "text/html, text/plain",
        content_type_is="text/plain",
        title=None,
    ),
    page(
        "type-pdf", b"%PDF-1.7 <title>no</title>", "MIME Sniffing", "pdf", content_type_is="application/pdf", title=None
    ),
    page(
        "type-feed", b"<?xml version='1.0'?><rss><title>no</title>", "MIME Sniffing", "*/*", content_type_is="text/xml"
    ),
    raw("type-none", answer(b"\n <!-- hello --><title>yes</title>", content_type=None), "MIME Sniffing", title="yes"),
]

URLS = [
    page("href-tab-newline", '<a href="/a\tb\nc">x</a>', "URL Standard", links=["SITE/abc"]),
    page("href-control", '<a href=" \x01 /x \x1f">x</a>', "URL Standard", links=["SITE/x"]),
    page(
        "href-one-slash",
        '<a href="https:/e.org/">x</a><a href="http:/e">y</a>',
        "WPT",
        links=["https://e.org/", "SITE/e"],
    ),
    page("href-no-slash", '<a href="http:y">x</a>', "WPT: relative to a base of the same scheme", links=["SITE/x/y"]),
    page("href-dots", '<a href="/a/%2e%2E/b/.">x</a>', "WPT", links=["SITE/b/"]),
    page(
        "href-idna",
        '<a href="http://bücher.example/ü?ü">x</a>',
        "WPT",
        links=["http://xn--bcher-kva.example/%C3%BC?%C3%BC"],
    ),
    page("href-emoji", '<a href="http://💩.example/">x</a>', "WPT toascii", links=["http://xn--ls8h.example/"]),
    page("href-number", '<a href="http://0x7f.1/">x</a>', "WPT: IPv4 numbers", links=["http://127.0.0.1/"]),
    page("href-plus-space", '<a href="/a b+c">x</a>', "WPT", links=["SITE/a%20b+c"]),
    page(
        "href-bad", '<a href="http://[x/">x</a><a href="http://a b/">y</a><a href="/ok">z</a>', "WPT", links=["SITE/ok"]
    ),
    page(
        "href-too-long", f'<a href="/{"a" * 9000}">x</a><a href=/y>y</a>', "ours", links=["SITE/y"], truncated=["links"]
    ),
    page(
        "href-query-lacking",
        b'<meta charset=windows-1252><a href="/?q=\xe9&#x4f60;">x</a>',
        "URL Standard: percent-encode after encoding",
        "text/html",
        links=["SITE/?q=%E9%26%2320320%3B"],
    ),
    page(
        "href-path-1251",
        b'<meta charset=windows-1251><a href="/\xe9?\xe9#\xe9">x</a>',
        "URL Standard: paths are UTF-8 always",
        "text/html",
        links=["SITE/%D0%B9?%E9"],
    ),
    page("base-late", '<a href=x>x</a><base href="/b/">', "HTML 4.2.3", links=["SITE/b/x"]),
    page(
        "base-second",
        '<base target=_top><base href="/b/"><base href="/c/"><a href=x>x</a>',
        "HTML 4.2.3",
        links=["SITE/b/x"],
    ),
    page("base-data", '<base href="data:x"><a href=x>x</a>', "HTML 4.2.3", links=["SITE/x/x"]),
    page("base-ftp", '<base href="ftp://e.org/"><a href=x>x</a><a href=/y>y</a>', "HTML 4.2.3: no http link", links=[]),
    page("frames", '<frameset><frame src="/l"><frame src="/r"></frameset>', "HTML 16.3.2", links=["SITE/l", "SITE/r"]),
    page("svg-link", '<svg><a xlink:href="/s"><text>S</text></a></svg>', "SVG 2 16.2", links=["SITE/s"], texts=["S"]),
    page("area-no-alt", '<map><area href="/a"></map>', "HTML 4.8.13", links=["SITE/a"], texts=[""]),
]

TREES = [
    page("h1-in-template", "<template><template><h1>no</h1></template></template><h1>yes</h1>", "HTML", h1=["yes"]),
    page("h1-in-noscript", "<noscript><h1>no</h1></noscript><h1>yes</h1>", "HTML, scripting on", h1=["yes"]),
    page("h1-in-comment", "<!-- <h1>no</h1> --!><h1>yes</h1>", "HTML 13.2.5.52", h1=["yes"]),
    page("h1-in-script", "<script>'<h1>no</h1>'</script><h1>yes</h1>", "HTML", h1=["yes"]),
    page("h1-in-textarea", "<textarea><h1>no</h1></textarea><h1>yes</h1>", "HTML", h1=["yes"]),
    page("h1-in-iframe", "<iframe><h1>no</h1></iframe><h1>yes</h1>", "HTML", h1=["yes"]),
    page("h1-foster", "<table><h1>yes</h1><tr><td>x</table>", "HTML 13.2.6.1", h1=["yes"]),
    page("h1-closed-by-h3", "<h1>A</h3>B", "HTML 13.2.6.4.7: any heading's end tag ends it", h1=["A"]),
    page("title-twice", "<title>first</title><title>second</title>", "document.title", title="first"),
    page("title-in-body", "<body><p>x</p><title>yes</title>", "document.title", title="yes"),
    page("title-entities", "<title>a &amp; b &notit; &#150; <b></title>", "HTML 13.2.5.72", title="a & b ¬it; – <b>"),
    page("title-math", "<math><title>no</title></math><title>yes</title>", "document.title", title="yes"),
    page("a-in-a", "<a href=/a>a<a href=/b>b</a>", "HTML 13.2.6.4.7", texts=["a", "b"]),
    page("a-template", "<a href=/a>x<template>y</template></a>", "innerText", texts=["x"]),
]

TEXTS = [
    page("a-br", "<a href=/a>one<br>two</a>", "innerText", texts=["one two"]),
    page(
        "a-cells",
        "<table><tr><td><a href=/a>x</a></table><a href=/b><table><tr><td>1<td>2</table></a>",
        "innerText",
        texts=["x", "1 2"],
    ),
    page(
        "a-inline",
        "<a href=/a>o<b>n</b>e<wbr><span>!</span></a>",
        "innerText: inline does not separate",
        texts=["one!"],
    ),
    page("h1-blocks", "<h1><div>Site</div><p>Slogan</p></h1>", "innerText", h1=["Site Slogan"]),
    page("h1-spaces", "<h1>\n a&nbsp;\t b\n</h1>", "white space collapses", h1=["a b"]),
    page("a-img-text", "<a href=/a><img alt=Logo> Home</a>", "accname", texts=["Logo Home"]),
    page("a-img-empty", '<a href=/a><img alt="" title=T>Home</a>', "accname: alt='' is decoration", texts=["Home"]),
    page("a-svg-title", "<a href=/a><svg><title>Home</title><path/></svg></a>", "accname, SVG-AAM", texts=["Home"]),
    page("a-icon-label", "<a href=/a><i aria-label=Mail></i></a>", "accname", texts=["Mail"]),
    page("a-title", "<a href=/a title=Next></a>", "accname", texts=["Next"]),
    page(
        "a-text-and-label", "<a href=/a aria-label=Label>Text</a>", "what is shown goes before a label", texts=["Text"]
    ),
    page("h1-label", "<h1 aria-label=Acme></h1>", "accname", h1=["Acme"]),
    page("a-script", "<a href=/a>x<script>y</script><style>z</style></a>", "innerText", texts=["x"]),
]

HOPS = [
    hop("to-backslash", "\\ok", to="/ok", source="URL Standard"),
    hop("to-utf-8", "/p\u00e4ge".encode(), to="/p%C3%A4ge", source="browsers"),
    hop("to-mixed", b"/\xb1/\xc3\xa4?\xff", to="/%B1/%C3%A4?%FF", source="browsers"),
    hop("to-two-one-empty", "", "/ok", to="/ok", source="Chromium: the first that is not empty"),
    hop("to-slashes", "/x//y", to="/x//y", source="URL Standard: empty segments stay"),
    hop("to-leading-slashes", "/.//y", to="//y", source="not the host y"),
    hop("to-bar", "/a|b[c]{d}", to="/a|b[c]%7Bd%7D", source="URL Standard: path percent-encode set"),
    hop("to-lower-escape", "/%e4", to="/%e4", source="URL Standard: escapes stay as they are"),
    hop("to-fragment", "/ok#part", to="/ok", source="RFC 9110 10.2.2"),
    hop("to-query", "?a=b c", to="/x/to-query?a=b%20c", source="URL Standard"),
    raw("to-two", redirect("/a", "/b"), "Chromium", error=("InvalidResponse", "2 locations")),
    raw("to-mail", redirect("mailto:a@b"), "no page", error=("InvalidUrl", "http:// or https://")),
    raw(
        "to-nowhere", answer(status="302 Found"), "Fetch: no Location, no redirect", title="Right page", status_code=302
    ),
    raw("refresh-header", answer(b"<title>no</title>", "Refresh: 0;url=/ok"), "browsers", final_url="SITE/ok", **RIGHT),
    raw(
        "refresh-later",
        answer(RIGHT_BODY, "Refresh: 300;url=/other"),
        "a page to be read",
        final_url="SITE/x/refresh-later",
    ),
    raw("refresh-itself", answer(RIGHT_BODY, "Refresh: 5"), "news sites", final_url="SITE/x/refresh-itself", **RIGHT),
    page(
        "meta-refresh-quotes", "<meta http-equiv=Refresh content=\"3; URL='/ok'\">", "HTML 4.2.5.3", final_url="SITE/ok"
    ),
    page(
        "meta-refresh-base",
        "<base href=/b/><meta http-equiv=refresh content='0;c'>",
        "HTML 4.2.5.3",
        final_url="SITE/b/c",
    ),
    page(
        "meta-refresh-self",
        "<title>self</title><meta http-equiv=refresh content='0;url=?'>",
        "no circle",
        title="Right page",
    ),
    page(
        "meta-refresh-circle", "<title>me</title><meta http-equiv=refresh content='0;url=#x'>", "no circle", title="me"
    ),
    page(
        "meta-refresh-noscript",
        "<noscript><meta http-equiv=refresh content='0;/no'></noscript><title>me</title>",
        "w3lib",
        title="me",
    ),
    page(
        "meta-refresh-mail", "<title>me</title><meta http-equiv=refresh content='0;mailto:a@b'>", "no page", title="me"
    ),
]

SIZES = [
    page(
        "long-script",
        b"<script>" + b"x" * 3_000_000 + b"</script>" + RIGHT_BODY,
        "a 3-MB inline script",
        truncated=[],
        **RIGHT,
    ),
    page("many-h1", "<h1>x</h1>" * 101, "flagged", h1=["x"] * 100, truncated=["h1"]),
    page("100-h1", "<h1>x</h1>" * 100, "not cut", h1=["x"] * 100, truncated=[]),
    page("long-title", f"<title>{'t' * 1001}</title>", "flagged", title="t" * 1000, truncated=["title"]),
    page("long-h1", f"<h1>{'t' * 1001}</h1>", "flagged", h1=["t" * 1000], truncated=["h1"]),
    page("long-text", f"<a href=/a>{'t ' * 501}</a>", "flagged", texts=[("t " * 500).strip()], truncated=["links"]),
    page("many-links", "".join(f"<a href=/{n}>x</a>" for n in range(1001)), "flagged", truncated=["links"]),
    page("1000-links", "".join(f"<a href=/{n % 1000}>x</a>" for n in range(2000)), "not cut", truncated=[]),
]

CASES = [*FILES, *ENCODINGS, *TYPES, *URLS, *TREES, *TEXTS, *HOPS, *SIZES]
