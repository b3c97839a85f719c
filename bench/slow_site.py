"""A site whose pages come after half a second: `python -m bench.slow_site PORT`."""

from __future__ import annotations

import asyncio
import sys

import uvloop

AFTER_S = 0.5
PAGE = b"<!DOCTYPE html><title>A slow page</title><h1>It came</h1><a href=/next>next</a>"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
END = b"\r\n\r\n"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(END)
    await asyncio.sleep(AFTER_S)
    writer.write(HEAD % len(PAGE) + PAGE)
    await writer.drain()
    writer.close()


async def serve(port: int) -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
