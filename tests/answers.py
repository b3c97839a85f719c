"""A web server that gives answers byte for byte, each on a path of its own, and notes what it was asked for.

    with Answers({"/x": b"HTTP/1.1 200 OK\\r\\n\\r\\nhello"}) as site:
        requests.get(site.url + "/x")

Everything it was not told about is a page with the title "Right page".
"""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self

RIGHT_BODY = b'<html><head><title>Right page</title></head><body><h1>Right</h1><a href="/next">next</a></body></html>'


def answer(
    body: bytes = RIGHT_BODY,
    *fields: str | bytes,
    content_type: str | None = "text/html; charset=utf-8",
    status: str = "200 OK",
    length: bool = True,
) -> bytes:
    """An answer with this body; `fields` are further header lines."""
    lines = [f"HTTP/1.1 {status}".encode(), b"Connection: close"]
    if content_type is not None:
        lines.append(b"Content-Type: " + content_type.encode("latin-1"))
    if length:
        lines.append(b"Content-Length: %d" % len(body))
    lines += [field.encode("latin-1") if isinstance(field, str) else field for field in fields]
    return b"\r\n".join([*lines, b"", body])


def redirect(*locations: str | bytes, status: str = "302 Found") -> bytes:
    """A redirect with these Location lines."""
    lines = [b"Location: " + (to if isinstance(to, bytes) else to.encode("latin-1")) for to in locations]
    return answer(b"", *lines, content_type=None, status=status)


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, IndexError):
            target = self.rfile.readline().split()[1].decode("latin-1")
            while self.rfile.readline().strip():
                pass
            self.server.requested.append(target)
            self.wfile.write(self.server.answers.get(target, answer()))


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, answers: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = dict(answers)
        self.requested: list[str] = []


class Answers:
    """The server, in a thread of this process while the `with` block lasts."""

    def __init__(self, answers: Mapping[str, bytes]) -> None:
        self._answers = answers

    def __enter__(self) -> Self:
        self._server = _Server(self._answers)
        self.host_port = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host_port}"
        self.requested = self._server.requested
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="answers")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
