"""The POST of a delivery, against receivers that do what none should."""

from __future__ import annotations

import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from jobcore.settings import WorkerSettings
from jobcore.webhooks.posting import post

PATIENCE_S = 5.0
PIECE = 2**16
ON_ITS_WAY = 2**25
"""More bytes than the sockets of a connection hold."""


class Endless(BaseHTTPRequestHandler):
    """Redirects, with a body that has no end."""

    sent = 0

    def do_POST(self) -> None:
        self.send_response(307)
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        with suppress(OSError):
            while True:
                self.wfile.write(b"x" * PIECE)
                Endless.sent += PIECE

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_the_body_of_a_redirect_is_not_read() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        here = f"127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = WorkerSettings(
            database_url="postgresql://nobody@localhost/none", webhook_allow=here, webhook_timeout_s=PATIENCE_S
        )
        answer = post(f"http://{here}/", "{}", "application/json", {}, settings)
        server.shutdown()
    assert answer.status_code == 307
    assert Endless.sent < ON_ITS_WAY
