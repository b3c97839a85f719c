"""Send calls to a server, and again if no answer comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from httpx2 import EventSource

from longrun_client.answers import Outcome, refusal, retry_delay_s, value_of
from longrun_client.calls import Call
from longrun_client.cursor import StreamCursor
from longrun_client.downloads import Download
from longrun_client.errors import LongrunError
from longrun_client.exports import Export
from longrun_client.models import Event
from longrun_client.models_files import UploadedFile
from longrun_client.server import Server
from longrun_client.uploads import CALL, STORING_S, Upload
from longrun_client.wire import KeysetPage, SeqPage

T = TypeVar("T")
SeqPages = Callable[[str, int], Call[SeqPage[T]]]
"""The call for the page of a task's items after a seq."""


class Transport:
    """The connections to a server. Calls raise only LongrunErrors."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._http = httpx2.Client(**server.http_options())

    def call(self, call: Call[T]) -> T:
        """Send the call, up to TRIES times until it is answered, and return the value of its response."""
        attempt = 1
        while True:
            outcome = self._try(call)
            delay = retry_delay_s(outcome, attempt)
            if delay is None:
                return value_of(call, outcome, self._server.shown)
            time.sleep(delay)
            attempt += 1

    def once(self, call: Call[T]) -> T:
        """Send the call one time, and return the value of its response."""
        return value_of(call, self._try(call), self._server.shown)

    def walk(self, page: Callable[[str | None], Call[KeysetPage[T]]]) -> Iterator[T]:
        """Iterate over the items of all pages; `page` returns the call for the page at a cursor."""
        cursor: str | None = None
        while True:
            found = self.call(page(cursor))
            yield from found.items
            if (cursor := found.next) is None:
                return

    def walk_by_seq(self, page: SeqPages[T], task_id: str, after: int) -> Iterator[T]:
        """Iterate over a task's items with a seq larger than `after`; `page` returns the call for the page after it."""
        while (found := self.call(page(task_id, after))).items:
            yield from found.items
            after = found.next_after

    def events(self, path: str, cursor: StreamCursor) -> Iterator[Event]:
        """Iterate over the events of one connection to the stream at a path; httpx2.TransportError if it breaks."""
        with self._http.stream(
            "GET", path, headers=cursor.headers(), timeout=self._server.stream_timeout()
        ) as response:
            if not response.is_success:
                response.read()
                raise refusal(response, self._server.shown)
            cursor.opened(response)
            if cursor.ended:
                return
            for sse in EventSource(response, max_event_size=None):
                if event := cursor.take(sse):
                    yield event
                if cursor.ended:
                    return

    def lines(self, export: Export[T]) -> Iterator[T]:
        """Iterate over the values of an export; a broken connection is continued."""
        while True:
            try:
                with self._http.stream(
                    "GET", export.path, params=export.params, timeout=self._server.stream_timeout()
                ) as response:
                    if not response.is_success:
                        response.read()
                        raise refusal(response, self._server.shown)
                    export.opened(response)
                    for piece in response.iter_bytes():
                        yield from export.take(piece)
                return
            except (httpx2.TransportError, LongrunError) as error:
                delay = export.broke(error)
            time.sleep(delay)

    def download(self, path: str, download: Download) -> Path:
        """Download the file at this path; a broken connection is continued."""
        with download:
            while True:
                try:
                    with self._http.stream("GET", path, headers=download.headers()) as response:
                        if not response.is_success:
                            response.read()
                            raise refusal(response, self._server.shown)
                        download.begin(response)
                        for piece in response.iter_bytes():
                            download.write(piece)
                    return download.finish()
                except (httpx2.TransportError, LongrunError) as error:
                    delay = download.broke(error, self._server.shown)
                time.sleep(delay)

    def upload(self, upload: Upload) -> UploadedFile:
        """Upload a file, again from its begin if no answer comes and it can be read once more."""
        attempt = 1
        with upload:
            while True:
                outcome = self._try_upload(upload)
                delay = retry_delay_s(outcome, attempt) if upload.can_repeat else None
                if delay is None:
                    return value_of(CALL, outcome, self._server.shown)
                time.sleep(delay)
                attempt += 1

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _try_upload(self, upload: Upload) -> Outcome:
        try:
            return self._http.request(
                CALL.method,
                CALL.path,
                content=upload.pieces(),
                headers=upload.headers(),
                timeout=self._server.timeout(STORING_S),
            )
        except httpx2.TransportError as error:
            return error

    def _try(self, call: Call[Any]) -> Outcome:
        try:
            return self._http.request(**request_of(call, self._server))
        except httpx2.TransportError as error:
            return error


def request_of(call: Call[Any], server: Server) -> dict[str, Any]:
    """The arguments of `request` of httpx2's clients for a call."""
    return {
        "method": call.method,
        "url": call.path,
        "params": call.params,
        "json": call.body,
        "content": call.content,
        "headers": call.headers,
        "timeout": server.timeout(call.wait_s),
    }
