"""The methods of both clients that watch many tasks at once."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Unpack, cast
from urllib.parse import urlencode

import anyio
import httpx2
from httpx2 import ServerSentEvent

from longrun_client.async_transport import AsyncTransport
from longrun_client.cursor import StreamCursor, read_event
from longrun_client.errors import LongrunError
from longrun_client.models_watch import TaskEvent
from longrun_client.options import WatchOptions
from longrun_client.server import Server
from longrun_client.transport import Transport


class WatchCursor(StreamCursor):
    """The position of a reader in the events of all tasks."""

    def __init__(self, after: str | None, server: Server) -> None:
        super().__init__(server.shown, server.patience_s)
        self._after = after or ""

    @property
    def last_event_id(self) -> str:
        """The id of the last event, of which the server may have passed over many since."""
        return self._after

    def taken(self, sse: ServerSentEvent) -> TaskEvent | None:
        """The event; None if it only says how far the reader has come."""
        self._after = sse.id
        return None if sse.event == "cursor" else read_event(TaskEvent, sse, cursor=sse.id)


class WatchClient:
    """Watch the events of many tasks."""

    _server: Server
    _transport: Transport

    def watch(self, *, after: str | None = None, **options: Unpack[WatchOptions]) -> Iterator[TaskEvent]:
        """Iterate over the states and the progress of all tasks that match, as they happen; it has no end.

        It starts now, or after the event with the `cursor` `after`. It survives broken connections and server restarts,
        and neither drops nor repeats an event. Raises ProblemError (410) if events after `after` were deleted.
        """
        cursor = WatchCursor(after, self._server)
        while True:
            try:
                yield from cast(Iterator[TaskEvent], self._transport.events(_path(options), cursor))
                delay = cursor.broke()
            except (httpx2.TransportError, LongrunError) as error:
                delay = cursor.broke(error)
            time.sleep(delay)


class AsyncWatchClient:
    """Watch the events of many tasks."""

    _server: Server
    _transport: AsyncTransport

    async def watch(
        self, *, after: str | None = None, **options: Unpack[WatchOptions]
    ) -> AsyncGenerator[TaskEvent, None]:
        """Iterate over the states and the progress of all tasks that match: see `Longrun.watch`."""
        cursor = WatchCursor(after, self._server)
        while True:
            try:
                async with aclosing(self._transport.events(_path(options), cursor)) as events:
                    async for event in events:
                        yield cast(TaskEvent, event)
                delay = cursor.broke()
            except (httpx2.TransportError, LongrunError) as error:
                delay = cursor.broke(error)
            await anyio.sleep(delay)


def _path(options: WatchOptions) -> str:
    given = {name: value for name, value in options.items() if value is not None}
    return f"/events/stream?{urlencode(given, doseq=True)}"
