"""Connections that are silent, slow, endless or many: each is bounded, and others are served meanwhile."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.integration.raw_http import connected, exchange, get, read, request, resident_bytes
from tests.processes import Process, Stack
from tests.waiting import PATIENCE_S, until

REQUEST_S = 1.0
HOST = "Host: localhost"
JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"
TASK = b'{"task_type": "echo", "input": {}}'
MIB = 1024 * 1024
STREAMS = 150


@pytest.fixture(scope="module")
def impatient(shared_stack: Stack) -> Process:
    """An API that gives requests a second to arrive."""
    env = {"LONGRUN_REQUEST_TIMEOUT_S": f"{REQUEST_S:g}", "LONGRUN_MAX_UPLOAD_BYTES": f"{MIB}"}
    return shared_stack.api(env=env)


@pytest.fixture
def crowded(shared_stack: Stack) -> Iterator[Process]:
    """An API that takes 20 connections."""
    process = shared_stack.api(env={"LONGRUN_MAX_CONNECTIONS": "20"})
    yield process
    process.kill_group()


@pytest.mark.parametrize(
    "beginning",
    [
        b"G",
        b"POST /tasks HTTP/1.1\r\n",
        b"POST /tasks HTTP/1.1\r\nHost: loc",
        request("POST", "/tasks", HOST, JSON, "Content-Length: 34", body=TASK[:10]),
        request("POST", "/tasks", HOST, JSON, "Content-Length: 34"),
        request("POST", "/tasks", HOST, JSON, CHUNKED, body=b'5\r\n{"tas\r\n'),
        request("PATCH", "/queues/default", HOST, JSON, "Content-Length: 34", body=TASK[:10]),
        request("POST", "/schedules", HOST, JSON, "Content-Length: 34", body=TASK[:10]),
        request("POST", "/files", HOST, "Content-Length: 100000", body=bytes(65_000)),
    ],
    ids=["letter", "line", "half headers", "half a body", "no body", "chunks", "queue", "schedule", "file"],
)
def test_a_request_that_does_not_end_is_told_so_and_cut(impatient: Process, beginning: bytes) -> None:
    answer = exchange(impatient.url, beginning)
    assert (answer.status, answer.slug) == (408, "request-timeout")
    assert answer.headers["connection"] == "close"


def test_a_request_that_trickles_has_no_more_time_than_another(impatient: Process) -> None:
    with connected(impatient.url) as connection:
        connection.sendall(b"GET /tasks HTTP/1.1\r\n")
        connection.settimeout(0.1)
        received = b""
        for _ in range(100):
            connection.sendall(b"X: y\r\n")
            try:
                received = connection.recv(65536)
                break
            except TimeoutError:
                continue
        assert b" 408 " in received


def test_an_upload_that_goes_on_has_more_time_than_another_request(impatient: Process) -> None:
    with connected(impatient.url) as connection:
        connection.sendall(request("POST", "/files", HOST, f"Content-Length: {MIB}"))
        began, answer = time.monotonic(), b""
        connection.settimeout(REQUEST_S / 5)
        for _ in range(8):
            connection.sendall(bytes(MIB // 8))
            with suppress(TimeoutError):
                answer = connection.recv(65536)
        connection.settimeout(PATIENCE_S)
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(65536)
        assert time.monotonic() - began > REQUEST_S
        assert answer.startswith(b"HTTP/1.1 201 ")


@pytest.mark.parametrize(
    "upload",
    [
        request("POST", "/files", HOST, f"Content-Length: {MIB + 1}", "Expect: 100-continue"),
        request("POST", "/files", HOST, CHUNKED, body=b"100001\r\n" + bytes(MIB + 1) + b"\r\n0\r\n\r\n"),
    ],
    ids=["announced", "chunked"],
)
def test_an_upload_that_is_too_large_is_refused(impatient: Process, upload: bytes) -> None:
    answer = exchange(impatient.url, upload)
    assert (answer.status, answer.slug) == (413, "body-too-large")


def test_a_connection_that_says_nothing_is_closed_without_a_word(impatient: Process) -> None:
    assert exchange(impatient.url, b"").status == 0


def test_a_connection_that_rests_between_requests_is_closed(impatient: Process) -> None:
    with connected(impatient.url) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read(connection).status == 200


def test_a_request_that_does_not_end_is_cut_also_on_a_connection_that_rested_before(impatient: Process) -> None:
    with connected(impatient.url) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 " in connection.recv(65536)
        time.sleep(2.5 * REQUEST_S)  # nothing happens meanwhile: that is what is tested
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: loc")
        assert read(connection).status == 408


def test_quiet_streams_do_not_each_wake_the_server(impatient: Process) -> None:
    here = httpx.post(f"{impatient.url}/tasks", json={**json.loads(TASK), "delay_s": 3600}).headers["location"]
    with ExitStack() as stack:
        for _ in range(STREAMS):
            client = stack.enter_context(connected(impatient.url))
            client.sendall(get(f"{here}/stream", HOST))
            assert b" 200 " in client.recv(65536)
        time.sleep(2.5 * REQUEST_S)  # nothing happens meanwhile: that is what is tested
        before = wake_ups(impatient.pid)
        time.sleep(3 * REQUEST_S)  # as above
        assert wake_ups(impatient.pid) - before < STREAMS


def wake_ups(pid: int) -> int:
    """How often the main thread of a process went to sleep so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("voluntary_ctxt_switches:")[1].split()[0])


def test_a_stream_and_its_quiet_client_are_no_slow_request(impatient: Process) -> None:
    here = httpx.post(f"{impatient.url}/tasks", json=json.loads(TASK)).headers["location"]
    with httpx.stream("GET", f"{impatient.url}{here}/stream", timeout=30) as response:
        frames = response.iter_raw()
        assert b'"status":"PENDING"' in next(frames)
        time.sleep(2.5 * REQUEST_S)  # longer than a request may take: that nothing ends it can only be waited for
        httpx.delete(f"{impatient.url}{here}")
        assert b'"status":"CANCELLED"' in next(frames)


@pytest.mark.parametrize(
    "headers",
    [["X: " + "y" * 40_000], [f"X-{number}: y" for number in range(101)], [f"X-{n}: {'y' * 500}" for n in range(80)]],
    ids=["one long", "many", "many long ones"],
)
def test_headers_are_bounded_in_bytes_and_number(api_url: str, headers: list[str]) -> None:
    answer = exchange(api_url, get("/tasks", HOST, *headers))
    assert (answer.status, answer.slug) == (431, "head-too-large")


def test_the_request_line_is_bounded_too(api_url: str) -> None:
    assert exchange(api_url, get("/tasks?" + "x" * 40_000, HOST)).slug == "head-too-large"


def test_headers_as_browsers_and_proxies_send_them_are_taken(api_url: str) -> None:
    headers = [f"X-{number}: {'y' * 300}" for number in range(90)]
    assert exchange(api_url, get("/tasks", HOST, *headers)).status == 200


@pytest.mark.parametrize(
    ("beginning", "more"),
    [
        (b"GET /tasks HTTP/1.1\r\n", b"X: " + b"y" * 65_000 + b"\r\n"),
        (b"GET /tasks HTTP/1.1\r\nX: ", b"y" * 65_000),
        (b"GET /", b"y" * 65_000),
        (request("POST", "/tasks", HOST, JSON, CHUNKED, body=b"1;"), b"y" * 65_000),
        (
            request("POST", "/tasks", HOST, JSON, CHUNKED, body=b"0\r\n"),
            b"X: " + b"y" * 65_000 + b"\r\n",
        ),
    ],
    ids=["headers", "one header", "target", "chunk extension", "trailers"],
)
def test_no_client_fills_the_servers_memory_before_its_request_is_whole(
    shared_stack: Stack, beginning: bytes, more: bytes
) -> None:
    process = shared_stack.api()
    before, sent = resident_bytes(process.pid), 0
    with connected(process.url) as connection:
        connection.sendall(beginning)
        try:
            while sent < 300 * MIB:
                connection.sendall(more)
                sent += len(more)
        except (ConnectionResetError, BrokenPipeError):
            pass
    assert sent < 100 * MIB
    assert resident_bytes(process.pid) - before < 20 * MIB
    process.kill_group()


def test_trailers_do_not_become_headers(api_url: str) -> None:
    body = b"22\r\n" + TASK + b"\r\n0\r\nContent-Type: text/plain\r\nOrigin: http://evil.example\r\n\r\n"
    assert exchange(api_url, request("POST", "/tasks", HOST, JSON, CHUNKED, body=body)).status == 202


def test_chunks_of_one_byte_are_a_body_like_any_other(api_url: str) -> None:
    task = TASK[:-1] + b" " * 200_000 + b"}"
    body = b"".join(b"1\r\n%c\r\n" % byte for byte in task) + b"0\r\n\r\n"
    assert exchange(api_url, request("POST", "/tasks", HOST, JSON, CHUNKED, body=body)).status == 202


def test_a_client_that_still_sends_when_it_is_refused_reads_why_and_is_cut(api_url: str) -> None:
    with connected(api_url) as connection:
        connection.sendall(b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000000\r\n")
        connection.sendall(b"Content-Type: application/json\r\n\r\n")
        assert b" 413 " in connection.recv(65536)
        until(lambda: _is_cut(connection), what="the connection is cut")


def _is_cut(connection: socket.socket) -> bool:
    try:
        connection.sendall(b" " * 1000)
    except (ConnectionResetError, BrokenPipeError):
        return True
    return False


def test_bodies_that_are_held_together_have_a_bound(shared_stack: Stack) -> None:
    process = shared_stack.api()
    before = resident_bytes(process.pid)
    part = request("POST", "/tasks", HOST, JSON, f"Content-Length: {MIB}", body=b" " * (MIB - 1))
    with ExitStack() as stack:
        connections = [stack.enter_context(connected(process.url)) for _ in range(150)]
        for connection in connections:
            connection.sendall(part)
        refused = [answer for connection in connections[100:] if (answer := _answer_so_far(connection))]
        assert refused
        assert all(b" 503 " in answer and b"retry-after: 1" in answer for answer in refused)
        assert resident_bytes(process.pid) - before < 150 * MIB
        for connection in connections:
            connection.close()
    until(lambda: httpx.post(f"{process.url}/tasks", json=json.loads(TASK)).status_code == 202, what="room again")
    process.kill_group()


def _answer_so_far(connection: socket.socket) -> bytes:
    connection.settimeout(0.2)
    try:
        return connection.recv(65536)
    except TimeoutError:
        return b""


def test_connections_have_a_bound_and_the_next_one_is_told(crowded: Process) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connected(crowded.url))
        until(lambda: len(psutil.Process(crowded.pid).net_connections("tcp")) > 20, what="all are accepted")
        answer = exchange(crowded.url, b"")
        assert (answer.status, answer.slug) == (503, "overloaded")
    until(lambda: exchange(crowded.url, get("/healthz", HOST)).status == 200, what="room again")


def test_a_client_that_does_not_take_its_answer_is_cut(impatient: Process) -> None:
    large = {"task_type": "echo", "input": {"x": "x" * 1_000_000}}
    here = httpx.post(f"{impatient.url}/tasks", json=large).headers["location"]
    with connected(impatient.url) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wanted = get(here, HOST).replace(b"Connection: close\r\n", b"")
        connection.sendall(wanted * 20)
        port = connection.getsockname()[1]
        until(lambda: not _is_open(impatient.pid, port), within_s=10 * REQUEST_S, what="the connection is cut")


def _is_open(pid: int, port: int) -> bool:
    return any(c.raddr and c.raddr.port == port for c in psutil.Process(pid).net_connections("tcp"))


def test_a_request_after_one_that_is_broken_is_not_served_and_the_one_before_is(api_url: str) -> None:
    first = (
        b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 34\r\n\r\n"
        + TASK
    )
    assert exchange(api_url, first + b"\x00nonsense\r\n\r\n").status == 202


@pytest.mark.parametrize(
    "nonsense",
    [b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET\r\n\r\n", b"GET / SPDY/3\r\n\r\n"],
)
def test_what_is_no_http_is_answered_with_a_problem_document(api_url: str, nonsense: bytes) -> None:
    answer = exchange(api_url, nonsense)
    assert (answer.status, answer.slug) == (400, "malformed-request")


@pytest.mark.parametrize("method", [b"HELLO", b"get", b"X-1"])
def test_a_method_that_the_server_does_not_know_is_told_so(api_url: str, method: bytes) -> None:
    answer = exchange(api_url, method + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (answer.status, answer.slug) == (501, "method-not-implemented")


def test_a_body_in_another_transfer_coding_is_refused(api_url: str) -> None:
    headers = (HOST, JSON, "Transfer-Encoding: gzip, chunked")
    answer = exchange(api_url, request("POST", "/tasks", *headers, body=b"22\r\n" + TASK + b"\r\n0\r\n\r\n"))
    assert (answer.status, answer.slug) == (501, "transfer-coding-not-supported")


@pytest.mark.skipif(not shutil.which("ss"), reason="needs ss (iproute2), which shows a connection's timers")
def test_the_kernel_finds_out_when_a_peer_is_gone(api_url: str) -> None:
    with connected(api_url) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.recv(65536)
        port = connection.getsockname()[1]
        shown = subprocess.run(["ss", "-tnoH", "dst", f"127.0.0.1:{port}"], capture_output=True, text=True, check=True)
        assert "timer:(keepalive" in shown.stdout
