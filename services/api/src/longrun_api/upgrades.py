"""Ignore `Upgrade`, as a server may that has nothing to upgrade to (RFC 9110, section 7.8), and keep the body.

Java's HTTP client asks for HTTP/2 in this way by default. httptools takes everything after such a head for another
protocol, so uvicorn would pass the request on without its body.
"""

from __future__ import annotations

import sys

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class WithoutUpgrades(HttpToolsProtocol):
    """uvicorn's connection. A head with `Upgrade` is parsed once more without it, together with what follows."""

    _parsed = b""
    """What is being parsed."""
    _plain_head = b""
    """The head without `Upgrade`, if the parser has just seen one with it."""

    def data_received(self, data: bytes) -> None:
        """Parse bytes from the client."""
        self._parsed = data
        super().data_received(data)
        self._parsed = b""

    def on_headers_complete(self) -> None:
        """Called by the parser when the head is complete."""
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
            lines += [b"%s: %s" % (name, value) for name, value in self.headers if name != b"upgrade"]
            self._plain_head = b"\r\n".join([*lines, b"", b""])
        else:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Called by the parser when the request is complete; with `Upgrade`, it says so before the body."""
        if not self._plain_head:
            super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """Called by uvicorn when the parser has stopped after a head with `Upgrade`."""
        stopped = sys.exception()
        assert isinstance(stopped, httptools.HttpParserUpgrade)
        plain, self._plain_head = self._plain_head + self._parsed[stopped.args[0] :], b""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        super().data_received(plain)
