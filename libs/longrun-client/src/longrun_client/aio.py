"""Calls over aiohttp: what an async client uses on asyncio, because it costs a tenth of the CPU (ADR 38)."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
import httpx2
from yarl import URL

from longrun_client.answers import Answer
from longrun_client.calls import Call
from longrun_client.server import Server

MOST_CONNECTIONS: Final = 100
"""Connections at once, as httpx2 has; further calls wait for one."""


class AioCalls:
    """Connections of asyncio. Errors are those of httpx2, so that nobody need know who carried a call."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: aiohttp.ClientSession

    async def send(self, call: Call[Any]) -> Answer:
        """Send the call once; raises httpx2.TransportError if it is not answered."""
        url = f"{self._server.url}{call.path}"
        if call.params:
            url = f"{url}?{urlencode(call.params, doseq=True)}"
        try:
            async with self._running().request(
                call.method,
                URL(url, encoded=True),
                json=call.body,
                data=call.content,
                headers=call.headers,
                timeout=self._timeout(call.wait_s),
                allow_redirects=False,
            ) as response:
                content = await response.read()
                return Answer(response.status, response.reason or "", url, response.headers, content)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _translated(error) from error

    async def close(self) -> None:
        """Close the connections."""
        if self._loop is not None:
            await self._session.close()

    def _running(self) -> aiohttp.ClientSession:
        """The session of the running event loop."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            if self._loop is not None:
                self._session.detach()  # its connections ended with their event loop
            self._loop = loop
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MOST_CONNECTIONS, ssl=self._server.ssl_context()),
                headers=self._server.headers(),
            )
        return self._session

    def _timeout(self, wait_s: float) -> aiohttp.ClientTimeout:
        # aiohttp has no limit for sending, so the sum of all limits is the one of a server that does not read
        limit_s = self._server.timeout_s
        return aiohttp.ClientTimeout(
            total=3 * limit_s + wait_s, connect=limit_s, sock_connect=limit_s, sock_read=limit_s + wait_s
        )


def _translated(error: aiohttp.ClientError | TimeoutError) -> httpx2.TransportError:
    """The error of httpx2 that says the same. Those that say that nothing was sent come first."""
    said = _said(error)
    match error:
        case aiohttp.ConnectionTimeoutError():
            return httpx2.ConnectTimeout(said)
        case aiohttp.ClientConnectorError() | aiohttp.InvalidURL():
            return httpx2.ConnectError(said)
        case TimeoutError():
            return httpx2.ReadTimeout(said)
        case aiohttp.ClientOSError() | aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return httpx2.ReadError(said)
        case _:
            return httpx2.RemoteProtocolError(said)


def _said(error: Exception) -> str:
    """The message of an error, or of what the operating system said if a connection could not be made."""
    cause = getattr(error, "os_error", None)
    if isinstance(cause, ConnectionError) and cause.errno is not None:
        return os.strerror(cause.errno)  # asyncio's own message has the address instead
    return str(error if cause is None else cause)
