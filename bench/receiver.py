"""A receiver of webhooks: `python -m bench.receiver PORT SECRET`.

It verifies each message and accepts it at once. On 127.0.0.1 it never answers: any other address of the loopback
network is another host to Longrun.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from standardwebhooks import Webhook, WebhookVerificationError

HANGING = "127.0.0.1"
END = b"\r\n\r\n"
ANSWER = "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Receiver:
    """Answers 204 to what is signed with the secret, and 401 to anything else."""

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self._never = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        head = (await reader.readuntil(END)).decode("latin-1")
        lines = (line.partition(":") for line in head.splitlines()[1:])
        headers = {name.strip().lower(): value.strip() for name, _, value in lines if name}
        body = await reader.readexactly(int(headers["content-length"]))
        if writer.get_extra_info("sockname")[0] == HANGING:
            await self._never.wait()
        try:
            self._webhook.verify(body.decode(), headers)
            status = "204 No Content"
        except WebhookVerificationError:
            status = "401 Unauthorized"
        writer.write(ANSWER.format(status=status).encode())
        await writer.drain()
        writer.close()


async def serve(port: int, secret: str) -> None:
    """Serve all addresses of this machine."""
    server = await asyncio.start_server(Receiver(secret).answer, "0.0.0.0", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2]))
