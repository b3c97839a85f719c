"""A server that accepts every task at once and does nothing, to measure clients and the load generator."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast

import httptools
import uvloop

ID = "00000000-0000-4000-8000-000000000000"
HERE = f"/tasks/{ID}"
PARTS = ("stream", "logs", "output", "attempts", "files", "why", "retry")
BODY = json.dumps(
    {
        "task_id": ID,
        "task_type": "echo",
        "status": "PENDING",
        "created_at": "2026-11-30T12:00:00.000000Z",
        "links": {"self": HERE, "cancel": HERE, **{part: f"{HERE}/{part}" for part in PARTS}},
    }
).encode()
ANSWER = b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)


class Accept(asyncio.Protocol):
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.transport.write(ANSWER)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Accept, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
