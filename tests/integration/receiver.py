"""A receiver of webhooks that does as the path of its URL says."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """An HTTP server that answers as the path says, and keeps what it got."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], str]] = []
        self.hold = threading.Event()
        self.up = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                receiver.got.append((self.path, dict(self.headers), body))
                receiver.answer(self)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host_port = f"127.0.0.1:{self.server.server_address[1]}"
        self.other_name = self.host_port.replace("127.0.0.1", "localhost")
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer by the last part of the path: a status, `hang`, `soon` (503 the first time), `redirect` or `up`."""
        how = request.path.rpartition("/")[2]
        if how == "hang":
            self.hold.wait()
        first = len(self.at(request.path)) == 1
        statuses = {"hang": 200, "soon": 503 if first else 204, "redirect": 307, "up": 200 if self.up.is_set() else 503}
        request.send_response(statuses.get(how) or int(how))
        request.send_header("Content-Length", "0")
        if how == "soon":
            request.send_header("Retry-After", "1")
        if how == "redirect":
            request.send_header("Location", f"http://{self.host_port}/behind/200")
        request.end_headers()

    def at(self, path: str) -> list[tuple[dict[str, str], str]]:
        """The headers and the body of each delivery to this path."""
        return [(headers, body) for here, headers, body in self.got if here == path]

    def close(self) -> None:
        """Let go of all requests, and stop."""
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()
