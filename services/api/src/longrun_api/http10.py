"""Responses to HTTP/1.0 clients, which know no chunks: without a length, a response ends with the connection.

uvicorn would send chunks, which such a client takes for a part of the body (RFC 9112, section 6.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent


class Http10Cycle(RequestResponseCycle):
    """uvicorn's request and response, without chunks."""

    _ends_with_connection = False

    async def send(self, message: ASGISendEvent) -> None:
        """Send a part of the response."""
        if message["type"] == "http.response.start":
            self._ends_with_connection = all(name.lower() != b"content-length" for name, _ in message["headers"])
            if self._ends_with_connection:
                self.chunked_encoding = False
        elif message["type"] == "http.response.body" and self._ends_with_connection:
            self.expected_content_length = len(message["body"])  # uvicorn refuses to send more
        await super().send(message)
