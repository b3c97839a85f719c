"""Clients of an older kind: they close their side after the request, or speak HTTP/1.0, and get whole responses."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.integration.raw_http import Answer, connected, exchange, read, request

HOST = "Host: localhost"
JSON = "Content-Type: application/json"
TASK = b'{"task_type": "echo", "input": {}, "run_at": "2027-01-01T00:00:00Z"}'
LENGTH = f"Content-Length: {len(TASK)}"
GET_QUEUES = b"GET /queues HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST_TASK = f"POST /tasks HTTP/1.1\r\n{HOST}\r\n{JSON}\r\n{LENGTH}\r\n\r\n".encode() + TASK


def half_closed(url: str, sent: bytes) -> Answer:
    """The first answer to what was sent before the client closed its side."""
    return Answer.of(b"".join(pieces(url, sent)))


def pieces(url: str, sent: bytes) -> Iterator[bytes]:
    """Everything that the server sends, until it closes."""
    with connected(url) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(65536):
            yield piece


@pytest.mark.parametrize(("sent", "status"), [(GET_QUEUES, 200), (POST_TASK, 202)], ids=["get", "post"])
def test_a_client_that_closes_its_side_gets_its_answer(api_url: str, sent: bytes, status: int) -> None:
    answer = half_closed(api_url, sent)
    assert answer.status == status
    assert json.loads(answer.body)


def test_every_request_before_the_end_is_answered(api_url: str) -> None:
    received = b"".join(pieces(api_url, POST_TASK + GET_QUEUES + POST_TASK))
    assert received.count(b"HTTP/1.1 202 Accepted") == 2
    assert received.count(b"HTTP/1.1 200 OK") == 1


@pytest.mark.parametrize("sent", [POST_TASK[:-10], b"GET / HT"], ids=["body", "head"])
def test_a_request_that_is_cut_short_is_told_so(api_url: str, sent: bytes) -> None:
    answer = half_closed(api_url, sent)
    assert (answer.status, answer.slug) == (400, "malformed-request")


def test_a_connection_that_closes_without_a_request_gets_no_answer(api_url: str) -> None:
    assert half_closed(api_url, b"").status == 0


def test_a_stream_ends_with_its_client(api: httpx.Client, api_url: str) -> None:
    task = api.post("/tasks", content=TASK, headers={"Content-Type": "application/json"}).json()["task_id"]
    with connected(api_url) as connection:
        connection.sendall(f"GET /tasks/{task}/stream HTTP/1.1\r\n{HOST}\r\n\r\n".encode())
        received = b""
        while b"PENDING" not in received:
            received += connection.recv(65536)
        connection.shutdown(socket.SHUT_WR)
        assert read(connection).status == 0, "the server closes, and sends nothing more"


def test_a_stream_to_an_http_1_0_client_has_no_chunks_and_ends_with_the_connection(
    api: httpx.Client, api_url: str
) -> None:
    task = api.post("/tasks", content=TASK, headers={"Content-Type": "application/json"}).json()["task_id"]
    api.delete(f"/tasks/{task}").raise_for_status()
    answer = exchange(api_url, request("GET", f"/tasks/{task}/stream", version="1.0"))
    assert answer.status == 200
    assert not {"transfer-encoding", "content-length"} & set(answer.headers)
    lines = answer.body.decode().splitlines()
    assert [line for line in lines if line.startswith("event:")] == ["event: state"] * 2
    assert all(not line or line.partition(":")[0] in ("event", "data", "id", "retry") for line in lines)


def test_an_http_1_0_request_has_no_transfer_encoding(api_url: str) -> None:
    sent = request("POST", "/tasks", JSON, "Transfer-Encoding: chunked", body=b"0\r\n\r\n", version="1.0")
    answer = exchange(api_url, sent)
    assert (answer.status, answer.slug) == (400, "malformed-request")


H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")
"""What Java's client sends by default, to offer HTTP/2."""
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(TASK), TASK)


@pytest.mark.parametrize("at", [0, 1, 10], ids=["together", "head first", "in the body"])
@pytest.mark.parametrize(
    ("framing", "body"), [(LENGTH, TASK), ("Transfer-Encoding: chunked", CHUNKS)], ids=["length", "chunked"]
)
def test_a_request_that_offers_an_upgrade_keeps_its_body(api_url: str, framing: str, body: bytes, at: int) -> None:
    head = "\r\n".join(["POST /tasks HTTP/1.1", *H2C, HOST, JSON, framing, "", ""]).encode()
    parts = [head + body] if at == 0 else [head + body[: at - 1], body[at - 1 :]]
    with connected(api_url) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            connection.sendall(part)
        connection.sendall(GET_QUEUES.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert [answer[1:4] for answer in received.split(b"HTTP/1.1")[1:]] == [b"202", b"200"]
