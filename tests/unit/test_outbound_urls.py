"""A URL is read once, as browsers read it, and what was read is what is connected to and asked for."""

from __future__ import annotations

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3.connection import HTTPConnection

from jobcore.outbound.allow_list import AllowList
from jobcore.outbound.deadline import Deadline
from jobcore.outbound.errors import InvalidUrl
from jobcore.outbound.guard import GuardedAdapter
from jobcore.outbound.urls import MAX_URL_LENGTH, web_url
from longrun_scraper.urls import query_encoder


@pytest.mark.parametrize(
    ("text", "href"),
    [
        ("HTTP://EXAMPLE.org:80/./x/../A#part", "http://example.org/A"),
        ("https://example.org:443", "https://example.org/"),
        ("  https://example.org/a b\t\n", "https://example.org/a%20b"),
        ("http:\\\\example.org\\a", "http://example.org/a"),
        ("http:///path", "http://path/"),
        ("http://2130706433:1/", "http://127.0.0.1:1/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://[::FFFF:1.2.3.4]/", "http://[::ffff:102:304]/"),
        (
            "https://fa.wikipedia.org/wiki/می‌خواهم",
            "https://fa.wikipedia.org/wiki/%D9%85%DB%8C%E2%80%8C%D8%AE%D9%88%D8%A7%D9%87%D9%85",
        ),
        ("https://💩.la/👩‍💻", "https://xn--ls8h.la/%F0%9F%91%A9%E2%80%8D%F0%9F%92%BB"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://example.org/x//z/", "http://example.org/x//z/"),
        ("http://example.org?", "http://example.org/?"),
    ],
)
def test_a_url_has_one_spelling(text: str, href: str) -> None:
    assert web_url(text).href == href == web_url(href).href


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://example.com/", "must start with http:// or https://"),
        ("file:///etc/passwd", "must start with http:// or https://"),
        ("example.com", "must start with http:// or https://"),
        ("//example.com", "must start with http:// or https://"),
        ("", "must start with http:// or https://"),
        ("http://user:secret@example.com/", "user name or a password"),
        ("http://user@example.com/", "user name or a password"),
        ("http://", "has no host"),
        ("https:", "has no host"),
        ("http://example.com:99999/", "is not a URL"),
        ("http://[::1/", "is not a URL"),
        ("http://[fe80::1%25lo]/", "is not a URL"),
        ("http://exa mple.com/", "is not a URL"),
        ("http://example.com\0/", "is not a URL"),
        ("http://\ud800/", "is not a URL"),
        ("http://example.com/" + "a" * MAX_URL_LENGTH, "at most 8192"),
        ("http://example.com/" + "می" * 2000, "at most 8192"),
        ("http://example.com/" + "\t" * 10**6, "at most 8192"),
    ],
)
def test_a_url_that_cannot_be_fetched_is_refused_with_a_reason(url: str, says: str) -> None:
    with pytest.raises(InvalidUrl, match=says) as caught:
        web_url(url)
    assert len(str(caught.value)) < 400


def test_the_parts_of_a_url_are_those_of_its_spelling() -> None:
    url = web_url("https://[::1]:8443/a|b?c=%e4#d")
    assert (url.scheme, url.host, url.port, url.target) == ("https", "::1", 8443, "/a|b?c=%e4")
    assert (web_url("http://a.example").port, web_url("http://a.example").target) == (80, "/")


def test_queries_are_encoded_as_their_page_and_what_it_lacks_as_a_reference() -> None:
    assert query_encoder("windows-1251")("q=Ж中") == "q=%C6%26%2320013%3B"
    assert query_encoder("utf-8")("q=Ж") == "q=Ж"
    assert query_encoder("utf-16le")("q=Ж") == "q=Ж"


DISGUISED = [
    "http://example.com\\@127.0.0.1/",
    "http://127.0.0.1\\@example.com/",
    "http://127.0.0.1#@example.com/",
    "http://127.0.0.1?@example.com/",
    "http://example.com;@127.0.0.1/",
    "http:\\\\127.0.0.1\\x",
    "http:127.0.0.1",
    "http://127。0。0。1/",
    "http://①②⑦.⓪.⓪.①/",
    "http://%31%32%37.0.0.1/",
    "http://127.1:80\\@example.com:443/",
    "http://0177.0.0.0x1/",
    "http://exam\tple.com/",
    "http://[::ffff:127.0.0.1]/",
    "http://example.com.:80./",
    "http://*.example/",
    "http://a..b/",
    "http://ＬＯＣＡＬＨＯＳＴ/",
]
WORDS = st.lists(
    st.sampled_from([*"@\\/:?#[].;%*", "127.0.0.1", "example.com", "::1", "%00", "\t", "。", "é", "80"]), max_size=8
)


@given(WORDS.map("".join) | st.text())
@example("")
def test_requests_and_urllib3_connect_to_the_host_that_the_guard_checks(text: str) -> None:
    for url in (f"http://{text}", f"http:{text}", f"https://example.com{text}"):
        compare(url)


@pytest.mark.parametrize("url", DISGUISED)
def test_no_disguise_makes_two_hosts_of_one_url(url: str) -> None:
    compare(url)


def compare(text: str) -> None:
    """One URL gives one host and port, whoever parses it, or is refused."""
    try:
        url = web_url(text)
        request = requests.Session().prepare_request(requests.Request("GET", url.href))
        request.url = url.href
        with Deadline(5) as deadline:
            adapter = GuardedAdapter(AllowList(frozenset(), "ALLOW"), 1, deadline)
            pool = adapter.get_connection_with_tls_context(request, verify=True)
            connection = pool._new_conn()
    except (InvalidUrl, requests.exceptions.InvalidURL):
        return
    assert (connection._dns_host.strip("[]").lower(), connection.port) == (url.host, url.port)
    assert adapter.url == url


def test_a_host_that_the_guard_did_not_read_is_not_connected_to() -> None:
    with Deadline(5) as deadline:
        adapter = GuardedAdapter(AllowList(frozenset({"127.0.0.1:80"}), "ALLOW"), 1, deadline)
        adapter.url = web_url("http://example.com/")
        with pytest.raises(InvalidUrl, match="it can also be parsed with the host 127"):
            adapter.dial(HTTPConnection("127.0.0.1", 80))
