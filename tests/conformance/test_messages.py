"""RFC 9112: how a request is framed, and what a server does with one that is not."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

from tests.integration.raw_http import Answer, connected, exchange, read, request

HOST = "Host: localhost"
JSON = "Content-Type: application/json"
BODY = b'{"task_type": "echo", "input": {}}'
LENGTH = f"Content-Length: {len(BODY)}"


def refused(answer: Answer) -> bool:
    """Whether this is a 400 that closes the connection."""
    return answer.status == 400 and answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    "hosts", [[], [HOST, HOST], ["Host: two words"], ["Host: a/b"]], ids=["none", "two", "space", "path"]
)
def test_a_request_without_one_valid_host_is_refused(base_url: str, hosts: list[str]) -> None:
    assert exchange(base_url, request("GET", "/tasks", *hosts)).status == 400


def test_the_absolute_form_of_the_target_is_accepted(base_url: str) -> None:
    assert exchange(base_url, request("GET", "http://localhost/tasks", HOST)).status == 200


@pytest.mark.parametrize("line", ["X : a", "X: a\r\n folded", "X\x00: a"], ids=["space", "fold", "nul"])
def test_a_malformed_header_is_refused(base_url: str, line: str) -> None:
    assert refused(exchange(base_url, request("GET", "/tasks", HOST, line)))


@pytest.mark.parametrize(
    "lines",
    [[LENGTH, "Content-Length: 3"], ["Content-Length: +3"], ["Content-Length: 3, 4"], ["Content-Length: x"]],
    ids=["two", "sign", "list", "word"],
)
def test_an_ambiguous_length_is_refused(base_url: str, lines: list[str]) -> None:
    assert refused(exchange(base_url, request("POST", "/tasks", HOST, JSON, *lines, body=BODY)))


def test_a_length_beside_chunks_is_refused(base_url: str) -> None:
    lines = (HOST, JSON, LENGTH, "Transfer-Encoding: chunked")
    assert refused(exchange(base_url, request("POST", "/tasks", *lines, body=b"0\r\n\r\n")))


def test_a_chunked_body_is_accepted(base_url: str) -> None:
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    assert (
        exchange(base_url, request("POST", "/tasks", HOST, JSON, "Transfer-Encoding: chunked", body=chunks)).status
        == 202
    )


def test_an_unknown_transfer_coding_is_not_implemented(base_url: str) -> None:
    lines = (HOST, JSON, "Transfer-Encoding: gzip, chunked")
    assert exchange(base_url, request("POST", "/tasks", *lines, body=b"0\r\n\r\n")).status == 501


def test_an_http_1_0_request_with_a_transfer_encoding_is_refused(base_url: str) -> None:
    lines = (HOST, JSON, "Transfer-Encoding: chunked")
    assert refused(exchange(base_url, request("POST", "/tasks", *lines, body=b"0\r\n\r\n", version="1.0")))


def test_an_http_1_0_response_has_no_chunks(base_url: str) -> None:
    answer = exchange(base_url, request("GET", "/tasks", HOST, version="1.0"))
    assert answer.status == 200
    assert "transfer-encoding" not in answer.headers


def test_pipelined_requests_are_answered_in_order(base_url: str) -> None:
    first = f"GET /tasks HTTP/1.1\r\n{HOST}\r\n\r\n".encode()
    with connected(base_url) as connection:
        connection.sendall(first + request("GET", "/nowhere", HOST))
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert 0 < received.index(b"HTTP/1.1 200") + 1 < received.index(b"HTTP/1.1 404")


def test_a_client_that_closes_its_side_gets_its_answer(base_url: str) -> None:
    with connected(base_url) as connection:
        connection.sendall(f"POST /tasks HTTP/1.1\r\n{HOST}\r\n{JSON}\r\n{LENGTH}\r\n\r\n".encode() + BODY)
        connection.shutdown(socket.SHUT_WR)
        assert read(connection).status == 202


def test_a_request_that_is_cut_short_is_refused(base_url: str) -> None:
    with connected(base_url) as connection:
        connection.sendall(f"POST /tasks HTTP/1.1\r\n{HOST}\r\n{JSON}\r\n{LENGTH}\r\n\r\n".encode() + BODY[:9])
        connection.shutdown(socket.SHUT_WR)
        assert refused(read(connection))


def test_a_head_that_is_too_large_is_refused(base_url: str) -> None:
    assert exchange(base_url, request("GET", "/tasks", HOST, f"X: {'a' * 1024 * 1024}")).status == 431


def test_an_expectation_is_met_or_refused(base_url: str) -> None:
    lines = (HOST, JSON, LENGTH)
    with connected(base_url) as connection:
        connection.sendall(request("POST", "/tasks", *lines, "Expect: 100-continue"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
        connection.sendall(BODY)
        assert read(connection).status == 202
    assert exchange(base_url, request("POST", "/tasks", *lines, "Expect: magic", body=BODY)).status == 417


def test_an_offered_upgrade_costs_no_body(base_url: str) -> None:
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")
    assert exchange(base_url, request("POST", "/tasks", *offer, HOST, JSON, LENGTH, body=BODY)).status in (101, 202)


@pytest.mark.parametrize("path", ["/tasks", "/nowhere"])
def test_every_response_has_a_date(base_url: str, path: str) -> None:
    for sent in (request("GET", path, HOST), b"nonsense\r\n\r\n"):
        date = parsedate_to_datetime(exchange(base_url, sent).headers["date"].upper())
        assert abs((datetime.now(UTC) - date).total_seconds()) < 3600
