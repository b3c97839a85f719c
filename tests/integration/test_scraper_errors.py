"""What a fetch that fails says of the answer: enough to act on, and no more than fits."""

from __future__ import annotations

import gzip
import socket
import threading
from typing import Any

import pytest

from jobcore.worker.error_details import DETAILS_MAX_BYTES
from jobcore.worker.values import to_json
from longrun_scraper.errors import HttpStatusError, InvalidResponse, PageTooLarge, ServerUnavailable
from longrun_scraper.fetch import fetch
from longrun_scraper.settings import ScraperSettings
from tests.answers import Answers, answer
from tests.badsite import BadSite

LIMIT = 1_000_000


def allowing(endpoint: str, **settings: Any) -> ScraperSettings:
    return ScraperSettings(fetch_allow=frozenset({endpoint}), **settings)


@pytest.mark.parametrize(("status", "error"), [("404 Not Found", HttpStatusError), ("503 Busy", ServerUnavailable)])
def test_an_error_tells_status_headers_and_the_start_of_the_body_but_no_cookies(
    status: str, error: type[HttpStatusError | ServerUnavailable]
) -> None:
    said = "größer ".encode() * 5000
    flood = [f"X-{number}: {'é' * 900}" for number in range(200)]
    with (
        Answers({"/": answer(said, "X-Why: gone", "Set-Cookie: secret=1", *flood, status=status)}) as site,
        pytest.raises(error) as caught,
    ):
        fetch(site.url, allowing(site.host_port), lambda: None)
    details = caught.value.details
    assert details["status_code"] == int(status[:3])
    assert details["url"] == site.url + "/"
    assert details["headers"]["x-why"] == "gone"
    assert details["body"].startswith("größer größer ")
    assert "secret" not in str(details)
    assert len(to_json("details", details, DETAILS_MAX_BYTES)) > 1000  # it is stored whole


def test_an_error_is_the_same_if_its_body_is_unreadable() -> None:
    with (
        Answers({"/": answer(b"no gzip", "Content-Encoding: gzip", status="404 Not Found")}) as site,
        pytest.raises(HttpStatusError) as caught,
    ):
        fetch(site.url, allowing(site.host_port), lambda: None)
    assert caught.value.details["body"] is None


def test_a_body_that_unpacks_to_nothing_is_bounded_too() -> None:
    with (
        Answers({"/": answer(gzip.compress(b"") * 60_000, "Content-Encoding: gzip")}) as site,
        pytest.raises(PageTooLarge),
    ):
        fetch(site.url, allowing(site.host_port, fetch_max_bytes=LIMIT), lambda: None)


def test_a_server_that_speaks_no_tls_is_not_asked_again() -> None:
    with BadSite() as site, pytest.raises(InvalidResponse, match="TLS"):
        fetch(site.url.replace("http:", "https:") + "/good", allowing(site.host_port), lambda: None)


def test_a_server_that_greets_in_another_protocol_and_waits_is_given_up_on_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host_port = f"127.0.0.1:{server.getsockname()[1]}"

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                while connection.recv(4096):
                    pass

        greeter = threading.Thread(target=greet)
        greeter.start()
        with pytest.raises(InvalidResponse, match="SSH"):
            fetch(f"http://{host_port}/", allowing(host_port), lambda: None)
        greeter.join()
