"""Fetching from a site that misbehaves in every way we know, over real sockets."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trustme
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from jobcore.errors import JobCancelled, PermanentError, RetryableError
from jobcore.outbound.errors import ConnectionFailed, FetchTimeout, InvalidUrl, RefusedAddress
from longrun_scraper.errors import (
    CertificateRefused,
    HttpStatusError,
    PageTooLarge,
    ServerUnavailable,
    TooManyRedirects,
    UnknownEncoding,
    UnreadableBody,
)
from longrun_scraper.fetch import Page, fetch
from longrun_scraper.settings import ScraperSettings
from tests.badsite import BadSite
from tests.waiting import PATIENCE_S, until

LIMIT = 1_000_000
Get = Callable[..., Page]


@pytest.fixture(scope="module")
def site() -> Iterator[BadSite]:
    with BadSite() as site:
        yield site


@pytest.fixture
def get(site: BadSite) -> Get:
    def get(path: str, stop: Callable[[], None] = lambda: None, **settings: Any) -> Page:
        given = {"fetch_allow": frozenset({site.host_port}), "fetch_max_bytes": LIMIT, **settings}
        return fetch(site.url + path, ScraperSettings(**given), stop)

    return get


def named(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let names under .test resolve to these addresses, one answer a question; gives the questions asked."""
    real, asked, left = socket.getaddrinfo, list[str](), list(answers)

    def getaddrinfo(host: str, port: int, *args: Any, **options: Any) -> Any:
        if not host.endswith(".test"):
            return real(host, port, *args, **options)
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in left.pop(0)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_a_page_comes_with_all_that_is_known_of_it(get: Get, site: BadSite) -> None:
    page = get("/hops/3")
    assert page.url == site.url + "/hops/3"
    assert page.final_url == site.url + "/good"
    assert page.redirects == tuple(site.url + path for path in ("/hops/2", "/hops/1", "/good"))
    assert (page.status_code, page.content_type) == (200, "text/html; charset=utf-8")
    assert b"The Daily" in page.body
    assert 0 < page.elapsed_s < 10


@pytest.mark.parametrize("path", ["/slow", "/slow-headers", "/silent", "/huge"])
def test_no_server_holds_a_fetch_longer_than_allowed(get: Get, path: str) -> None:
    started = time.monotonic()
    with pytest.raises(FetchTimeout, match=r"longer than 0\.5 s"):
        get(path, fetch_timeout_s=0.5, fetch_max_bytes=2**40)
    assert time.monotonic() - started < PATIENCE_S


@pytest.mark.parametrize(
    ("path", "error", "says"),
    [
        ("/loop", TooManyRedirects, "more than 20 redirects"),
        ("/hops/21", TooManyRedirects, "more than 20 redirects"),
        ("/status/404", HttpStatusError, "answered 404 Not Found"),
        ("/status/410", HttpStatusError, "answered 410"),
        ("/huge", PageTooLarge, "LONGRUN_FETCH_MAX_BYTES"),
        ("/huge-declared", PageTooLarge, "larger than 1000000 bytes"),
        ("/bomb", PageTooLarge, "larger than 1000000 bytes"),
        ("/double-bomb", PageTooLarge, "larger than 1000000 bytes"),
        ("/brotli", UnknownEncoding, "x-brotli"),
        ("/gzip-garbage", UnreadableBody, "cannot decompress the page"),
        ("/to?http://10.0.0.1/", RefusedAddress, "private"),
        ("/to?http://169.254.169.254/latest/meta-data/", RefusedAddress, "metadata"),
        ("/to?http://localhost:1/", RefusedAddress, "loopback"),
        ("/to?http://2130706433:1/", RefusedAddress, "loopback"),
        ("/to?file:///etc/passwd", InvalidUrl, "http:// or https://"),
        ("/to?http://user:secret@127.0.0.1/", InvalidUrl, "user name"),
        ("/to?http://[bad", InvalidUrl, "is not a URL"),
    ],
)
def test_what_would_be_the_same_next_time_is_permanent(
    get: Get, path: str, error: type[PermanentError], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        get(path)
    assert isinstance(caught.value, PermanentError)


@pytest.mark.parametrize(
    ("path", "error", "delay"),
    [
        ("/status/500", ServerUnavailable, None),
        ("/status/502", ServerUnavailable, None),
        ("/status/408", ServerUnavailable, None),
        ("/status/425", ServerUnavailable, None),
        ("/status/503?7", ServerUnavailable, 7),
        ("/status/429?30", ServerUnavailable, 30),
        ("/status/503?nonsense", ServerUnavailable, None),
        ("/cut", ConnectionFailed, None),
        ("/cut-chunked", ConnectionFailed, None),
        ("/chunk-garbage", ConnectionFailed, None),
        ("/hangup", ConnectionFailed, None),
    ],
)
def test_what_may_pass_is_retryable_after_the_servers_own_delay(
    get: Get, path: str, error: type[RetryableError], delay: float | None
) -> None:
    with pytest.raises(error) as caught:
        get(path)
    assert isinstance(caught.value, RetryableError)
    assert caught.value.delay_s == delay


def test_retry_after_may_be_a_date(get: Get) -> None:
    with pytest.raises(ServerUnavailable) as caught:
        get("/busy-until")
    assert caught.value.delay_s == pytest.approx(60, abs=10)


def test_a_port_where_nobody_listens_and_a_name_that_does_not_exist_are_retryable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    settings = ScraperSettings(fetch_allow=frozenset({f"127.0.0.1:{port}"}))
    with pytest.raises(ConnectionFailed, match=r"cannot connect to 127\.0\.0\.1"):
        fetch(f"http://127.0.0.1:{port}/", settings, lambda: None)
    with pytest.raises(ConnectionFailed, match=r"cannot resolve nowhere\.invalid"):
        fetch("http://nowhere.invalid/", settings, lambda: None)


@pytest.mark.parametrize("path", ["/huge", "/bomb", "/double-bomb"])
def test_a_page_beyond_the_limit_takes_little_memory(get: Get, path: str) -> None:
    with pytest.raises(PageTooLarge):
        get(path)  # the site makes its bombs now
    tracemalloc.start()
    try:
        with pytest.raises(PageTooLarge):
            get(path)
        assert tracemalloc.get_traced_memory()[1] < 8 * LIMIT
    finally:
        tracemalloc.stop()


def test_the_body_of_a_redirect_is_not_read(get: Get) -> None:
    assert get("/endless-redirect", fetch_timeout_s=5).status_code == 200


def test_a_cookie_that_a_redirect_sets_is_sent_back(get: Get) -> None:
    assert get("/cookie-loop").redirects[0].endswith("/cookie-loop")


def test_an_endpoint_is_not_reached_unless_it_is_allowed(get: Get, site: BadSite) -> None:
    before = len(site.requested)
    with pytest.raises(RefusedAddress):
        get("/good", fetch_allow=frozenset())
    with pytest.raises(RefusedAddress):
        get("/good", fetch_allow=frozenset({"127.0.0.1:1", "localhost:80"}))
    assert len(site.requested) == before


def test_a_name_is_resolved_once_and_what_was_checked_is_connected_to(
    monkeypatch: pytest.MonkeyPatch, site: BadSite
) -> None:
    port = site.host_port.rpartition(":")[2]
    asked = named(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    page = fetch(f"http://rebind.test:{port}/good", _allowing(site.host_port), lambda: None)
    assert page.status_code == 200
    assert asked == ["rebind.test"]


def test_a_name_that_changes_its_address_between_two_requests_is_checked_again(
    monkeypatch: pytest.MonkeyPatch, site: BadSite
) -> None:
    port = site.host_port.rpartition(":")[2]
    named(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    with pytest.raises(RefusedAddress, match=r"rebind\.test has a loopback address"):
        fetch(f"http://rebind.test:{port}/to?/good", _allowing(site.host_port), lambda: None)


def test_the_next_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch, site: BadSite) -> None:
    port = site.host_port.rpartition(":")[2]
    named(monkeypatch, ["127.0.0.2", "127.0.0.1"])
    page = fetch(f"http://two.test:{port}/good", _allowing(f"two.test:{port}"), lambda: None)
    assert page.status_code == 200


def test_a_name_server_that_does_not_answer_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: over.wait() and [])
    with pytest.raises(ConnectionFailed, match=r"cannot resolve slow\.test: no answer within 0\.2 s"):
        fetch("http://slow.test/", ScraperSettings(fetch_connect_timeout_s=0.2), lambda: None)
    over.set()


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch, get: Get, site: BadSite) -> None:
    with BadSite() as proxy:
        for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(variable, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        assert get("/good").status_code == 200
        assert proxy.requested == []


def test_a_cancel_stops_a_fetch_between_two_bytes(get: Get) -> None:
    calls = 0

    def stop() -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        get("/slow", stop)
    assert calls == 4


def test_no_fetch_leaves_a_socket_or_a_thread_behind(get: Get) -> None:
    def held() -> tuple[int, set[str]]:
        gc.collect()
        sockets = sum(os.readlink(f"/proc/self/fd/{fd}").startswith("socket:") for fd in _open_files())
        return sockets, {thread.name for thread in threading.enumerate() if "process_request" not in thread.name}

    before = held()
    for path in ("/good", "/hops/3", "/loop", "/slow", "/huge", "/status/500", "/cut", "/endless-redirect"):
        with contextlib.suppress(PermanentError, RetryableError):
            get(path, fetch_timeout_s=0.5)

    def left() -> tuple[int, set[str]]:
        sockets, threads = held()
        return max(0, sockets - before[0]), threads - before[1]

    # the site's own ends close in its threads
    until(lambda: left() == (0, set()), what=lambda: f"all is closed, not {left()}")


def test_tls_names_the_host_and_checks_its_certificate(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("secure.test").configure_cert(context)
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    named(monkeypatch, *[["127.0.0.1"]] * 4)
    with BadSite(tls=context) as site:
        port = site.host_port.rpartition(":")[2]
        with pytest.raises(CertificateRefused, match="certificate"):
            fetch(f"https://secure.test:{port}/good", _allowing(site.host_port), lambda: None)
        bundle = tmp_path / "authority.pem"
        authority.cert_pem.write_to_path(str(bundle))
        monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(bundle))
        assert fetch(f"https://secure.test:{port}/good", _allowing(site.host_port), lambda: None).status_code == 200
        assert names == ["secure.test", "secure.test"]
        with pytest.raises(CertificateRefused, match=r"other\.test"):
            fetch(f"https://other.test:{port}/good", _allowing(site.host_port), lambda: None)
        with pytest.raises(FetchTimeout):
            fetch(f"https://secure.test:{port}/slow", _allowing(site.host_port, fetch_timeout_s=0.5), lambda: None)


def test_every_request_of_a_fetch_is_a_span_and_carries_the_trace(get: Get, site: BadSite) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    RequestsInstrumentor().instrument(tracer_provider=provider)
    try:
        get("/hops/2")
    finally:
        RequestsInstrumentor().uninstrument()
    asked = [str((span.attributes or {})["http.url"]) for span in exporter.get_finished_spans()]
    assert asked == [site.url + path for path in ("/hops/2", "/hops/1", "/good")]


def _allowing(*endpoints: str, **settings: Any) -> ScraperSettings:
    return ScraperSettings(fetch_allow=frozenset(endpoints), **settings)


def _open_files() -> list[str]:
    return [fd for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")]
