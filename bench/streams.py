"""The stream reader: `python -m bench.streams '{"port": 8000, "ids": [...]}'` follows jobs until they end.

It is one process with one event loop and one connection per job. It prints one JSON line. For each event, the line has
its kind, whether it has an id (is stored), and the seconds from its `at` to its receipt, by the clock of this machine.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import cast

import httptools
import uvloop


@dataclass(frozen=True)
class Delivery:
    """One received event; `after_s` is its latency in seconds."""

    kind: str
    stored: bool
    after_s: float


def follow(port: int, ids: Sequence[str], timeout_s: float) -> list[Delivery]:
    """Follow these jobs in a separate process; returns the events that happened after their stream was open."""
    argument = json.dumps({"port": port, "ids": list(ids)})
    result = subprocess.run(
        [sys.executable, "-m", "bench.streams", argument], stdout=subprocess.PIPE, check=True, timeout=timeout_s
    )
    return [Delivery(**delivery) for delivery in json.loads(result.stdout)]


class Stream(asyncio.Protocol):
    """One Server-Sent Events response, read to its end."""

    def __init__(self, port: int, job_id: str) -> None:
        self.request = f"GET /tasks/{job_id}/stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        self.parser = httptools.HttpResponseParser(self)
        self.deliveries: list[Delivery] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._opened = float("inf")
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_headers_complete(self) -> None:
        self._opened = time.time()

    def on_body(self, body: bytes) -> None:
        now = time.time()
        *events, self._rest = (self._rest + body).replace(b"\r\n", b"\n").split(b"\n\n")
        self.deliveries += [delivery for event in events if (delivery := self._delivery(event.decode(), now))]

    def _delivery(self, event: str, now: float) -> Delivery | None:
        fields = dict(line.split(": ", 1) for line in event.splitlines() if ": " in line and line[0] != ":")
        if "data" not in fields:
            return None
        at = datetime.fromisoformat(json.loads(fields["data"])["at"]).timestamp()
        return Delivery(fields["event"], "id" in fields, now - at) if at > self._opened else None

    def on_message_complete(self) -> None:
        self.transport.close()
        if not self.ended.done():
            status = self.parser.get_status_code()
            if status == 200:
                self.ended.set_result(None)
            else:
                self.ended.set_exception(ConnectionError(f"a stream answered {status}"))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(error or ConnectionError("the server cut a stream"))


async def read_all(port: int, ids: Sequence[str]) -> list[Delivery]:
    loop = asyncio.get_running_loop()
    streams = [Stream(port, job_id) for job_id in ids]
    for stream in streams:
        await loop.create_connection(lambda: stream, "127.0.0.1", port)  # noqa: B023
    await asyncio.gather(*(stream.ended for stream in streams))
    return [delivery for stream in streams for delivery in stream.deliveries]


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    print(json.dumps([asdict(delivery) for delivery in uvloop.run(read_all(arguments["port"], arguments["ids"]))]))
