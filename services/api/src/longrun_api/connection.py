"""An HTTP connection that no client can keep open, or fill, without end: uvicorn's own, with bounds.

    silent, or a head that does not end ──────▶ 408 after `request_s`, 431 above `head_bytes`
    a body that does not end ─────────────────▶ 408 after `request_s`
    requests that come in together ───────────▶ 503 for the one that passes `buffered_bytes`
    an answer that nobody takes ──────────────▶ the connection is cut
    a peer that is gone without a word ───────▶ the kernel's keepalive finds out

What is sent when is the server's, so this is no middleware: the application hears of a request when its head is whole.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from http import HTTPStatus
from math import inf
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from longrun_api.problems import HttpError, ServerBusy, problem

FRAMING_BYTES: Final = 512 * 1024
"""What chunk headers, chunk extensions and trailers may add to a small body: two of the largest reads."""
FRAMING_FACTOR: Final = 8
"""What they may add to a large one, by the size of its content: chunks of one byte are six bytes each."""
LINGER_S: Final = 1.0
"""Seconds for a client that still sends to read its refusal: a reset would take that away (RFC 9112, section 9.6)."""
LINGER_BYTES: Final = 1024 * 1024
"""How much of what it still sends is read and thrown away."""
KEEPALIVE_IDLE_S: Final = 60
KEEPALIVE_INTERVAL_S: Final = 15
KEEPALIVE_PROBES: Final = 4


class MalformedRequest(HttpError):
    """What came is not HTTP."""

    status = 400
    slug = "malformed-request"
    title = "The request is not HTTP/1.1"


class HeadTooLarge(HttpError):
    """The request line and the headers have too many bytes, or are too many."""

    status = 431
    slug = "head-too-large"
    title = "The request's headers are too large"


class RequestTimeout(HttpError):
    """The request did not arrive in time."""

    status = 408
    slug = "request-timeout"
    title = "The request took too long to arrive"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What clients may take of a process."""

    request_s: float
    """Seconds from the first byte of a request to its last; a new connection has as long to send its first head."""
    buffered_bytes: int
    """Bytes of all requests together that have not been answered."""
    connections: int
    head_bytes: int = 32 * 1024
    headers: int = 100


class BufferedBytes:
    """How many bytes of requests a process holds."""

    def __init__(self) -> None:
        self.bytes = 0


class BoundedConnection(HttpToolsProtocol):
    """One connection; `buffered` is shared by all of a process."""

    def __init__(self, *args: Any, bounds: Bounds, buffered: BufferedBytes, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._bounds = bounds
        self._all_buffered = buffered
        self._buffered = 0
        self._is_arriving = True
        self._head_is_whole = False
        self._since = self.loop.time()
        self._begun = 0
        self._raw_bytes = 0
        self._body_bytes = 0
        self._refusal: HttpError | None = None
        self._lingering_bytes = 0
        self._unsent: float = inf
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch."""
        super().connection_made(transport)
        _notice_lost_peers(transport.get_extra_info("socket"))
        if len(self.connections) > self._bounds.connections:
            self._refuse(ServerBusy(f"this server has {self._bounds.connections:,} open connections"), linger_s=0)
        else:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give back what was held."""
        super().connection_lost(exc)
        self._release()
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Take bytes, within the bounds."""
        if self._refusal is not None:
            self._lingering_bytes += len(data)
            if self._lingering_bytes > LINGER_BYTES:
                self.transport.close()
            return
        self._begun = 1 if self._is_arriving and self._raw_bytes else 0
        super().data_received(data)
        if self._is_arriving and self._refusal is None:
            self._weigh(len(data))

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._begun += 1
        self._is_arriving = True
        self._head_is_whole = False
        self._since = self.loop.time()
        self._raw_bytes = self._body_bytes = 0
        self._watch()

    def on_headers_complete(self) -> None:
        """Its head is whole: refused by an exception if it is too large."""
        if len(self.headers) > self._bounds.headers:
            raise self._found(HeadTooLarge(f"at most {self._bounds.headers} headers are taken"))
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > self._bounds.head_bytes:
            raise self._found(self._too_large())
        if not self.url.startswith(b"/"):
            self._take_host_of_target()
        super().on_headers_complete()
        self._head_is_whole = True
        # what is sent as trailers must not turn up among the headers of a request that is under way
        self.headers = []

    def on_body(self, body: bytes) -> None:
        """Some of its body."""
        super().on_body(body)
        size = len(body)
        self._body_bytes += size
        if not self.cycle.response_complete:
            self._buffer(size)

    def on_message_complete(self) -> None:
        """The request is whole."""
        super().on_message_complete()
        self._is_arriving = False

    def on_response_complete(self) -> None:
        """It was answered. A client that still sends its body gets a moment to read the answer."""
        self._release()
        super().on_response_complete()
        if self._is_arriving and self._timer is not None:
            self._timer.cancel()
            self._since = -inf
            self._timer = self.loop.call_later(LINGER_S, self._check)

    def pause_writing(self) -> None:
        """The client does not take its answer."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """The client takes its answer."""
        super().resume_writing()
        self._unsent = inf

    def send_400_response(self, msg: str) -> None:
        """What uvicorn does when a request cannot be parsed, or was refused while it was."""
        self._refuse(self._refusal or MalformedRequest("it cannot be parsed (RFC 9112)"))

    def _weigh(self, size: int) -> None:
        if self._begun <= 1:  # else an unknown part of it was of the requests before
            self._raw_bytes += size
        if not self._head_is_whole:
            if self._raw_bytes > self._bounds.head_bytes:
                self._refuse(self._too_large())
            else:
                self._buffer(size)
        elif self._raw_bytes > FRAMING_BYTES + FRAMING_FACTOR * self._body_bytes:
            self._refuse(MalformedRequest("its chunks hold little else than their own headers"))

    def _buffer(self, size: int) -> None:
        self._buffered += size
        self._all_buffered.bytes += size
        if self._all_buffered.bytes > self._bounds.buffered_bytes and self._refusal is None:
            self._refuse(ServerBusy("too many large requests come in together"))

    def _release(self) -> None:
        self._all_buffered.bytes -= self._buffered
        self._buffered = 0

    def _watch(self) -> None:
        """Look at the connection some time. A quiet stream is not looked at: nothing arrives and all was taken."""
        if self._timer is None:
            self._timer = self.loop.call_later(self._bounds.request_s, self._check)

    def _check(self) -> None:
        self._timer = None
        now = self.loop.time()
        due = now + self._bounds.request_s
        if self._is_arriving and (due := self._since + self._bounds.request_s) <= now:
            self._refuse(RequestTimeout(f"a request must arrive whole within {self._bounds.request_s:g} s"))
            return
        if self.flow.write_paused:
            unsent = self.transport.get_write_buffer_size()
            if unsent >= self._unsent:
                reset(self.transport)
                return
            self._unsent = unsent
        if self._is_arriving or self.flow.write_paused:
            self._timer = self.loop.call_at(due, self._check)

    def _refuse(self, error: HttpError, linger_s: float = LINGER_S) -> None:
        """Take no more from this connection, and say why if that is the answer to the request at fault."""
        self._refusal = error
        self._unset_keepalive_if_required()
        if self._timer is not None:
            self._timer.cancel()
        is_mine = self._is_arriving and self._head_is_whole
        if self.cycle is not None and not self.cycle.response_complete:
            if not is_mine:
                self.cycle.keep_alive = False  # the request before goes on: its answer is the last
                return
            self.cycle.disconnected = True
            self.cycle.body = bytearray()
            self.cycle.message_event.set()
            is_answered = self.cycle.response_started or bool(self.pipeline)
        else:
            is_answered = is_mine and self.cycle is not None
        is_silent = self._is_arriving and not self._head_is_whole and not self._raw_bytes
        if is_answered or self.transport.is_closing() or (is_silent and isinstance(error, RequestTimeout)):
            self.transport.close()
            return
        self.transport.write(_as_bytes(error))
        if linger_s and self.transport.can_write_eof():
            self.transport.write_eof()
            self._timer = self.loop.call_later(linger_s, self.transport.close)
        else:
            self.transport.close()

    def _found(self, error: HttpError) -> HttpError:
        self._refusal = error
        return error

    def _too_large(self) -> HeadTooLarge:
        return HeadTooLarge(f"request line and headers may have {self._bounds.head_bytes:,} bytes")

    def _take_host_of_target(self) -> None:
        """`GET http://host/path` is for that host, whatever `Host` says (RFC 9112, section 3.2.2)."""
        target = httptools.parse_url(self.url)
        if target.host:
            port = b":%d" % target.port if target.port else b""
            others = [(name, value) for name, value in self.headers if name != b"host"]
            self.headers[:] = [(b"host", target.host + port), *others]


def reset(transport: asyncio.Transport) -> None:
    """Cut a connection whose peer takes nothing, and drop what was written to it, the kernel's part of it too.

    The kernel would keep up to 4 MiB for minutes. What the peer has received and not read stays readable there.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _as_bytes(error: HttpError) -> bytes:
    response = problem(error)
    headers = [*response.raw_headers, (b"connection", b"close")]
    status = b"HTTP/1.1 %d %s" % (error.status, HTTPStatus(error.status).phrase.encode())
    lines = [status, *(b"%s: %s" % header for header in headers), b""]
    return b"\r\n".join([*lines, bytes(response.body)])


def _notice_lost_peers(connection: socket.socket | None) -> None:
    if connection is None or connection.family == getattr(socket, "AF_UNIX", None):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {
        "TCP_KEEPIDLE": KEEPALIVE_IDLE_S,
        "TCP_KEEPINTVL": KEEPALIVE_INTERVAL_S,
        "TCP_KEEPCNT": KEEPALIVE_PROBES,
        "TCP_USER_TIMEOUT": 1000 * (KEEPALIVE_IDLE_S + KEEPALIVE_INTERVAL_S * KEEPALIVE_PROBES),
    }
    for name, value in options.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
