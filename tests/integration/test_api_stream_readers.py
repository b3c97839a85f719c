"""Readers of streams that stop reading, leave, or are many: what they cost, and that none misses an event."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg2
import pytest
import redis
from httpx_sse import EventSource

from jobcore.models import NewEvent
from tests.integration.appending import append_events
from tests.integration.hand_worker import HandWorker
from tests.integration.raw_http import resident_bytes
from tests.processes import Stack
from tests.waiting import until

MIB = 1024 * 1024
LINES = 1500
LINE = "x" * 9_000
SHORT = {"LONGRUN_STREAM_STALL_S": "2", "LONGRUN_STREAM_BACKLOG_BYTES": str(2 * MIB)}


@pytest.fixture(scope="module")
def api_url(shared_stack: Stack) -> str:
    """An API that has little patience."""
    return shared_stack.api(env=SHORT).url


@pytest.fixture
def talkative(api: httpx.Client, worker: HandWorker, submit: Any) -> str:
    """The path of a running job with a story of 13 MB."""
    here: str = submit()
    claim = worker.claim()
    for start in range(0, LINES, 100):
        lines = [NewEvent("log", {"level": "info", "message": LINE}) for _ in range(start, start + 100)]
        worker.db.call(append_events, claim.id, claim.fence, lines)
    worker.finish(claim)
    return here


def opened(url: str, path: str, headers: str = "") -> socket.socket:
    """A connection that asked for a stream, whose receiving side holds little."""
    place = urlsplit(url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    client.settimeout(20)
    client.connect((place.hostname, place.port))
    client.sendall(f"GET {path}/stream HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
    return client


def rest(client: socket.socket) -> bytes:
    """What still comes until the connection is cut or closed."""
    received = b""
    try:
        while piece := client.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def is_cut(client: socket.socket) -> bool:
    """Whether the server has let the connection go (Linux: the socket's error or its half that the peer closed)."""
    state = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state in (7, 8)  # TCP_CLOSE, TCP_CLOSE_WAIT of <netinet/tcp.h>


def test_a_reader_that_stops_is_cut_and_misses_nothing_when_it_resumes(
    api: httpx.Client, api_url: str, talkative: str
) -> None:
    with opened(api_url, talkative) as client:
        until(lambda: is_cut(client), what="the reader that takes nothing is cut")
        received = rest(client)
    seen = [int(seq) for seq in re.findall(rb"\nid: (\d+)\n", received.replace(b"\r\n", b"\n"))]
    last = max(seen, default=0)
    assert seen == list(range(1, last + 1))
    assert last < LINES
    with api.stream("GET", f"{talkative}/stream", headers={"last-event-id": str(last)}) as response:
        others = [int(event.id) for event in EventSource(response).iter_sse()]
    assert others == list(range(last + 1, LINES + 4))


def test_a_slow_reader_is_no_stalled_one(api_url: str, talkative: str) -> None:
    with opened(api_url, f"{talkative}", f"Last-Event-ID: {LINES - 40}\r\n") as client:
        received = b""
        while b"event: state" not in received:
            client.settimeout(5)
            received += client.recv(8_192)
    assert received.count(b"event: log") >= 40


def test_many_readers_that_stop_cost_the_api_a_bounded_amount_of_memory(
    shared_stack: Stack, api_url: str, talkative: str
) -> None:
    [process] = [process for process in shared_stack.processes if process.url == api_url]
    before = resident_bytes(process.pid)
    sizes = []
    with ExitStack() as stack:
        clients = [stack.enter_context(opened(api_url, talkative)) for _ in range(30)]

        def all_cut() -> bool:
            sizes.append(resident_bytes(process.pid))
            return all(is_cut(client) for client in clients)

        until(all_cut, 80, "all readers are cut")
    # 30 times 13 MB would be held otherwise
    assert max(sizes) - before < 100 * MIB


@pytest.fixture
def channels(redis_url: str) -> Iterator[Any]:
    """Says to how many jobs somebody listens."""
    with redis.Redis.from_url(redis_url) as client:
        yield lambda: len(client.pubsub_channels("longrun:job:*"))


@pytest.mark.parametrize("how", ["close", "reset", "head", "unread"])
def test_streams_that_are_left_leave_nothing_behind(
    shared_stack: Stack, api_url: str, submit: Any, channels: Any, how: str
) -> None:
    paths = [submit() for _ in range(40)]
    connections = _database_connections(shared_stack)
    for _ in range(3):
        clients = []
        for path in paths:
            client = opened(api_url, path)
            if how == "head":
                client.close()
                response = httpx.head(f"{api_url}{path}/stream")
                assert response.status_code == 200
                continue
            if how != "unread":
                assert b"200" in client.recv(100)
            clients.append(client)
        if clients:
            until(lambda: channels() == len(paths), what="each job is listened to")
        for client in clients:
            if how == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
        until(lambda: channels() == 0, what="nobody listens any more")
    assert _database_connections(shared_stack) <= connections + 10


def _database_connections(stack: Stack) -> int:
    connection = psycopg2.connect(stack.database_url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            return int(cursor.fetchone()[0])  # type: ignore[index]
    finally:
        connection.close()
