"""uvicorn's HTTP connection with bounds, so that no client can keep it open or fill memory without end.

    no head, or a head that does not end ─────▶ 408 after `request_s`, 431 above `head_bytes`
    a body that does not end ─────────────────▶ 408 after `request_s`; an upload (`take_upload`) may take longer, as
                                                long as UPLOAD_BYTES arrive within `request_s`
    too many bytes of all requests together ──▶ 503 for the request that exceeds `buffered_bytes`
    a client that does not read its response ─▶ the connection is reset
    a client that is gone ────────────────────▶ the kernel's keepalive closes the connection

This cannot be middleware: the application gets a request only when its head is complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Any, Final

from longrun_api import half_closed, request_ids
from longrun_api.connection_bounds import Bounds, BufferedBytes
from longrun_api.connection_errors import HeadTooLarge, MalformedRequest, RequestTimeout, malformed, raw_response
from longrun_api.hosts import with_host_of_target
from longrun_api.http10 import Http10Cycle
from longrun_api.problems import HttpError, ServerBusy
from longrun_api.sockets import detect_lost_peers, reset
from longrun_api.upgrades import WithoutUpgrades

FRAMING_BYTES: Final = 512 * 1024
"""Bytes that chunk headers, chunk extensions and trailers may add to a small body: two of the largest reads."""
FRAMING_FACTOR: Final = 8
"""How many times the size of a large body they may add: a chunk of one byte takes six bytes."""
UPLOAD_BYTES: Final = 64 * 1024
"""The fewest bytes of an upload that must arrive within `request_s`, unless the server itself does not read them."""
LINGER_S: Final = 1.0
"""Seconds that a client which is still sending gets to read the error: an immediate close would reset the connection
and discard the error (RFC 9112, section 9.6)."""
LINGER_BYTES: Final = 1024 * 1024
"""Bytes that such a client may still send; they are read and discarded."""


class BoundedConnection(WithoutUpgrades):
    """One connection; all connections of a process share `buffered`."""

    def __init__(
        self,
        *args: Any,
        bounds: Bounds,
        buffered: BufferedBytes,
        log_refusal: Callable[[HttpError, str], None] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._log_refusal = log_refusal
        self._bounds = bounds
        self._all_buffered = buffered
        self._buffered = 0
        self._is_arriving = True
        self._head_is_whole = False
        self._since = self.loop.time()
        self._begun = 0
        self._raw_bytes = self._body_bytes = 0
        self._uploaded: int | None = None
        """Bytes of the upload that is arriving, since `_since`; None: it is no upload."""
        self._refusal: HttpError | None = None
        self._lingering_bytes = 0
        self._unsent: float = inf
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer, or refuse the connection if too many are open."""
        super().connection_made(transport)
        detect_lost_peers(transport.get_extra_info("socket"))
        if len(self.connections) > self._bounds.connections:
            self._refuse(ServerBusy(f"this server has {self._bounds.connections:,} open connections"), linger_s=0)
        else:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the buffered bytes and the timer."""
        super().connection_lost(exc)
        self._release()
        if self._timer is not None:
            self._timer.cancel()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Called when the client has sent everything. It may still read the response (RFC 9112, section 9.6).

        Returns whether to keep the connection open. From here, a client that is gone looks the same: so a stream is
        closed, and a request that waits for a task is answered at once.
        """
        if self._is_arriving and self._raw_bytes and self._refusal is None:
            self._refuse(MalformedRequest("it ends before it is complete"), linger_s=0)
        if self.cycle is None or self.cycle.response_complete:
            return self._refusal is not None
        self.cycle.keep_alive = False
        half_closed.note(self.cycle)
        is_stream = self.cycle.response_started and bool(self.cycle.chunked_encoding)
        return not is_stream

    def data_received(self, data: bytes) -> None:
        """Parse bytes from the client, within the bounds."""
        if self._refusal is not None:
            self._lingering_bytes += len(data)
            if self._lingering_bytes > LINGER_BYTES:
                self.transport.close()
            return
        self._begun = 1 if self._is_arriving and self._raw_bytes else 0
        super().data_received(data)
        if self._is_arriving and self._refusal is None:
            self._count(len(data))

    def on_message_begin(self) -> None:
        """Called by the parser when a request begins."""
        super().on_message_begin()
        self._begun += 1
        self._is_arriving = True
        self._head_is_whole = False
        self._since = self.loop.time()
        self._raw_bytes = self._body_bytes = 0
        self._uploaded = None
        self._watch()

    def on_headers_complete(self) -> None:
        """Called by the parser when the head is complete; raises HeadTooLarge."""
        if len(self.headers) > self._bounds.headers:
            raise self._raised(HeadTooLarge(f"at most {self._bounds.headers} headers are accepted"))
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > self._bounds.head_bytes:
            raise self._raised(self._too_large())
        if not self.url.startswith(b"/"):
            self.headers[:] = with_host_of_target(self.url, self.headers)
        super().on_headers_complete()
        if self.scope["http_version"] == "1.0":
            self.cycle.__class__ = Http10Cycle  # uvicorn has made it, and its task has not begun
        self._head_is_whole = True
        # trailers must not appear among the headers of the request that is running
        self.headers = []

    def on_body(self, body: bytes) -> None:
        """Called by the parser with a part of the body."""
        super().on_body(body)
        size = len(body)
        self._body_bytes += size
        if self._uploaded is not None:
            self._uploaded += size  # not buffered: uvicorn reads no more than two pieces that nobody has taken
        elif not self.cycle.response_complete:
            self._buffer(size)

    def on_message_complete(self) -> None:
        """Called by the parser when the request is complete."""
        super().on_message_complete()
        self._is_arriving = False

    def on_response_complete(self) -> None:
        """Called when the response was sent. A client that is still sending its body gets LINGER_S to read it."""
        self._release()
        super().on_response_complete()
        if self._is_arriving and self._timer is not None:
            self._timer.cancel()
            self._since = -inf
            self._timer = self.loop.call_later(LINGER_S, self._check)

    def take_upload(self) -> None:
        """Called by the application, which takes the body as it arrives: its size and its duration are not bounded."""
        if self._is_arriving:
            self._uploaded = 0
            self._since = self.loop.time()
            self._release()

    def pause_writing(self) -> None:
        """Called when the client does not read its response."""
        super().pause_writing()
        self._unsent = inf
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn when the parser failed, also because a callback above raised an error."""
        self._refuse(self._refusal or malformed(self._parsed))

    def _count(self, size: int) -> None:
        if self._begun <= 1:  # otherwise an unknown part of `size` belongs to earlier requests
            self._raw_bytes += size
        if not self._head_is_whole:
            if self._raw_bytes > self._bounds.head_bytes:
                self._refuse(self._too_large())
            else:
                self._buffer(size)
        elif self._raw_bytes > FRAMING_BYTES + FRAMING_FACTOR * self._body_bytes:
            self._refuse(MalformedRequest("its chunks consist almost only of chunk headers"))

    def _buffer(self, size: int) -> None:
        self._buffered += size
        self._all_buffered.bytes += size
        if self._all_buffered.bytes > self._bounds.buffered_bytes and self._refusal is None:
            self._refuse(ServerBusy("too many large requests are arriving at once"))

    def _release(self) -> None:
        self._all_buffered.bytes -= self._buffered
        self._buffered = 0

    def _watch(self) -> None:
        """Start the timer, unless it runs. An idle stream needs none: nothing arrives and everything was read."""
        if self._timer is None:
            self._timer = self.loop.call_later(self._bounds.request_s, self._check)

    def _check(self) -> None:
        self._timer = None
        now = self.loop.time()
        due = now + self._bounds.request_s
        if self._is_arriving and (due := self._since + self._bounds.request_s) <= now:
            if self._uploaded is None:
                self._refuse(RequestTimeout(f"the whole request must arrive within {self._bounds.request_s:g} s"))
                return
            if self._uploaded < UPLOAD_BYTES and not self.flow.read_paused:
                slow = f"{UPLOAD_BYTES:,} bytes of an upload must arrive within {self._bounds.request_s:g} s"
                self._refuse(RequestTimeout(slow))
                return
            self._uploaded, self._since, due = 0, now, now + self._bounds.request_s
        if self.flow.write_paused:
            unsent = self.transport.get_write_buffer_size()
            if unsent >= self._unsent:
                reset(self.transport)
                return
            self._unsent = unsent
        if self._is_arriving or self.flow.write_paused:
            self._timer = self.loop.call_at(due, self._check)

    def _refuse(self, error: HttpError, linger_s: float = LINGER_S) -> None:
        """Read no more requests from this connection; send the error if its request is the next to be answered."""
        self._refusal = error
        self._unset_keepalive_if_required()
        if self._timer is not None:
            self._timer.cancel()
        is_mine = self._is_arriving and self._head_is_whole
        if self.cycle is not None and not self.cycle.response_complete:
            if not is_mine:
                self.cycle.keep_alive = False  # an earlier request is still running: its response is the last
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
        request_id = request_ids.new()
        if self._log_refusal is not None:
            self._log_refusal(error, request_id)
        self.transport.write(raw_response(error, request_id))
        if linger_s and self.transport.can_write_eof():
            self.transport.write_eof()
            self._timer = self.loop.call_later(linger_s, self.transport.close)
        else:
            self.transport.close()

    def _raised(self, error: HttpError) -> HttpError:
        self._refusal = error
        return error

    def _too_large(self) -> HeadTooLarge:
        return HeadTooLarge(f"the request line and headers may have at most {self._bounds.head_bytes:,} bytes together")
