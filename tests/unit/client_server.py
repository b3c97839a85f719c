"""A small real HTTP server whose answers a test writes down beforehand, byte by byte where it matters."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

AT = "2026-01-02T03:04:05Z"
Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Request:
    line: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class ScriptedServer:
    """Each request of a route ("GET /tasks/1") takes the route's next answer; the last one stays."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._answers: dict[str, list[Answer]] = defaultdict(list)
        self._port = 0
        self._server: ThreadingHTTPServer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def on(self, route: str, *answers: Answer) -> None:
        self._answers[route] += answers

    def lines(self, start: str = "") -> list[str]:
        return [request.line for request in self.requests if request.line.startswith(start)]

    def take(self, request: Request) -> Answer:
        self.requests.append(request)
        answers = self._answers[request.line.partition("?")[0]]
        if not answers:
            return problem(404, "There is nothing here", request.line)
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def start(self) -> None:
        """Listen; after a stop, at the same address."""
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                scripted.take(Request(f"{self.command} {self.path}", dict(self.headers), body))(self)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """A client that went away is no error here."""

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections from here on."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def answer(body: Any, status: int = 200, content_type: str = "application/json", **headers: str) -> Answer:
    """A whole response; a str body is sent as it is."""
    content = (body if isinstance(body, str) else json.dumps(body)).encode()

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return send


def problem(status: int, title: str, detail: str, *errors: tuple[str, str], **headers: str) -> Answer:
    """An RFC 9457 problem."""
    body = {"type": "urn:test", "title": title, "status": status, "detail": detail}
    fields = [{"field": field, "message": message} for field, message in errors]
    return answer(body | ({"errors": fields} if fields else {}), status, "application/problem+json", **headers)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection instead of answering."""
    handler.close_connection = True


def events(*parts: str, cut: bool = False, hold: threading.Event | None = None) -> Answer:
    """An event stream in chunks: ended properly, or `cut` off; first held open until `hold` is set."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream; charset=utf-8")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for part in parts:
            handler.wfile.write(f"{len(part.encode()):x}\r\n{part}\r\n".encode())
            handler.wfile.flush()
        while hold is not None and not hold.wait(0.05):
            handler.wfile.write(b"8\r\n: ping\n\n\r\n")
            handler.wfile.flush()
        if not cut:
            handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = True

    return send


def event(seq: int | None, kind: str, **data: Any) -> str:
    """One event as it travels."""
    head = f"id: {seq}\n" if seq is not None else ""
    return f"{head}event: {kind}\ndata: {json.dumps({'seq': seq, 'at': AT, 'attempt': 1, **data})}\n\n"


def task(status: str = "RUNNING", seq: int = 1, **fields: Any) -> dict[str, Any]:
    """A task as it travels."""
    links = {"self": "/tasks/j1", "stream": "/tasks/j1/stream", "logs": "/tasks/j1/logs", "cancel": "/tasks/j1"}
    whole = {"task_id": "j1", "task_type": "echo", "status": status, "created_at": AT, "attempt": 1, "seq": seq}
    return whole | {"links": links, "input": {}, "result": None, **fields}
