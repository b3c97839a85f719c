"""Proxies, certificates, timeouts and connections are the same for every kind of client."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import trustme

from longrun_client import AsyncLongrun, InvalidAddress, Longrun, LongrunUnavailable, MaybeAccepted
from longrun_client import server as server_module
from tests.unit.client_kinds import KINDS, client_of
from tests.unit.client_server import ScriptedServer, answer, task
from tests.waiting import PATIENCE_S

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
pytestmark = pytest.mark.timeout(2 * PATIENCE_S)
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with ScriptedServer() as scripted:
        scripted.on("GET /tasks/j1", answer(task()))
        yield scripted


@contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that handles each connection with `serve`; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def hold(connection: socket.socket, until: threading.Event) -> None:
    """Neither read nor write."""
    with connection:
        until.wait()


@each_kind
def test_a_proxy_of_the_environment_carries_the_calls(
    kind: str, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url.replace("//", "//me:secret@"))
    server.on("GET http://longrun.invalid/tasks/j1", answer(task()))
    with client_of(kind, "http://longrun.invalid") as client:
        assert client.get("j1").task_id == "j1"
    assert server.requests[0].headers["Proxy-Authorization"].startswith("Basic ")


@each_kind
@pytest.mark.parametrize("exception", ["127.0.0.1", "*", "other.example,127.0.0.1"])
def test_a_server_in_no_proxy_is_reached_directly(
    kind: str, exception: str, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", exception)
    with client_of(kind, server.url) as client:
        assert client.get("j1").task_id == "j1"


@each_kind
def test_the_password_of_an_address_is_sent_as_basic_authentication(kind: str, server: ScriptedServer) -> None:
    with client_of(kind, server.url.replace("//", "//me:p%40ss@")) as client:
        client.get("j1")
    assert server.requests[0].headers["Authorization"] == "Basic bWU6cEBzcw=="


@each_kind
def test_a_private_authority_is_trusted_by_ssl_cert_file_and_no_other_is(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(served)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    body = json.dumps(task()).encode()

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), served.wrap_socket(connection, server_side=True) as secure:  # one client refuses it
            secure.recv(65536)
            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body))

    with raw_server(serve) as address:
        url = address.replace("http:", "https:")
        with _fresh_certificates(), client_of(kind, url) as client, pytest.raises(LongrunUnavailable):
            client.get("j1")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        with _fresh_certificates(), client_of(kind, url) as client:
            assert client.get("j1").task_id == "j1"


@contextmanager
def _fresh_certificates() -> Iterator[None]:
    server_module._ssl_context.cache_clear()
    yield
    server_module._ssl_context.cache_clear()


@each_kind
def test_a_server_that_says_nothing_is_given_up_after_the_timeout(kind: str) -> None:
    silent = threading.Event()
    with raw_server(lambda connection: hold(connection, silent)) as url:
        started = time.monotonic()
        with client_of(kind, url, timeout_s=0.1) as client, pytest.raises(MaybeAccepted):
            client.submit("echo", {})
        silent.set()
    assert time.monotonic() - started < PATIENCE_S


@each_kind
def test_a_server_that_does_not_read_is_given_up_after_the_timeout(kind: str) -> None:
    silent = threading.Event()
    with raw_server(lambda connection: hold(connection, silent)) as url:
        with client_of(kind, url, timeout_s=0.1) as client, pytest.raises(MaybeAccepted):
            client.submit("echo", {"text": "x" * 20_000_000})
        silent.set()


@each_kind
@pytest.mark.parametrize(
    "said", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", b"\0" * 99]
)
def test_an_answer_that_is_no_http_or_half_of_it_is_an_error_of_the_client(kind: str, said: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        with connection:
            connection.recv(65536)
            connection.sendall(said)

    with raw_server(serve) as url, client_of(kind, url) as client, pytest.raises(MaybeAccepted):
        client.submit("echo", {})


@each_kind
def test_a_compressed_answer_is_read(kind: str, server: ScriptedServer) -> None:
    content = gzip.compress(json.dumps(task(task_id="zipped")).encode())

    def send(handler: BaseHTTPRequestHandler) -> None:
        assert "gzip" in handler.headers["Accept-Encoding"]
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    server.on("GET /tasks/zipped", send)
    with client_of(kind, server.url) as client:
        assert client.get("zipped").task_id == "zipped"


@each_kind
def test_lists_and_special_characters_are_in_the_query_as_given(kind: str, server: ScriptedServer) -> None:
    server.on("GET /tasks", answer({"items": [], "next": None}))
    with client_of(kind, server.url) as client:
        client.page(status=["FAILED", "RUNNING"], metadata={"a": "x&y=1 ü+%"}, limit=5)
    [line] = server.lines()
    assert "status=FAILED&status=RUNNING&" in line
    assert line.count("&") == 3
    assert "x%26y%3D1+%5Cu00fc%2B%25" in line.replace("%20", "+")


@each_kind
def test_calls_share_a_connection(kind: str, server: ScriptedServer) -> None:
    ports = set()

    def note(handler: BaseHTTPRequestHandler) -> None:
        ports.add(handler.client_address[1])
        answer(task())(handler)

    server.on("GET /tasks/again", note)
    with client_of(kind, server.url) as client:
        for _ in range(3):
            client.get("again")
    assert len(ports) == 1


def test_a_cancelled_call_leaves_no_connection_behind(server: ScriptedServer) -> None:
    asked, closed = threading.Event(), threading.Event()

    def wait_for_end(handler: BaseHTTPRequestHandler) -> None:
        asked.set()
        if handler.rfile.read(1) == b"":
            closed.set()
        handler.close_connection = True

    server.on("GET /tasks/slow", wait_for_end)

    async def cancel() -> None:
        async with AsyncLongrun(server.url) as client:
            call = asyncio.create_task(client.get("slow"))
            assert await asyncio.to_thread(asked.wait, PATIENCE_S)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert await asyncio.to_thread(closed.wait, PATIENCE_S)
            assert (await client.get("j1")).task_id == "j1"

    asyncio.run(cancel())


def test_a_client_outlasts_its_event_loop(server: ScriptedServer) -> None:
    client = AsyncLongrun(server.url)
    assert [asyncio.run(client.get("j1")).task_id for _ in range(3)] == ["j1"] * 3
    asyncio.run(client.close())


def test_many_calls_at_once_share_the_connections(server: ScriptedServer) -> None:
    async def call_all() -> list[str]:
        async with AsyncLongrun(server.url) as client:
            return [task.task_id for task in await asyncio.gather(*(client.get("j1") for _ in range(300)))]

    assert asyncio.run(call_all()) == ["j1"] * 300


@each_kind
def test_no_message_shows_the_password_of_an_address(kind: str) -> None:
    with (
        client_of(kind, "http://me:secret@127.0.0.1:1") as client,
        pytest.raises(LongrunUnavailable, match=r"http://me:\*\*\*@127\.0\.0\.1:1") as caught,
    ):
        client.get("j1")
    assert "secret" not in str(caught.value)
    with pytest.raises(InvalidAddress, match=r"me:\*\*\*@"):
        Longrun("ftp://me:secret@host")
