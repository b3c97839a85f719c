"""The three clients under one interface: blocking, async on asyncio (over aiohttp) and async on trio (over httpx2)."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from anyio.from_thread import BlockingPortal, start_blocking_portal

from longrun_client import AsyncLongrun, Longrun

KINDS: Final = ("blocking", "asyncio", "trio")


class _Awaited:
    """An async client whose methods block, run by an event loop in a thread."""

    def __init__(self, portal: BlockingPortal, client: AsyncLongrun) -> None:
        self._portal = portal
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        async def call(*arguments: Any, **options: Any) -> Any:
            made = method(*arguments, **options)
            return await made if inspect.isawaitable(made) else [item async for item in cast(AsyncIterator[Any], made)]

        return lambda *arguments, **options: self._portal.call(lambda: call(*arguments, **options))


@contextmanager
def client_of(kind: str, url: str, **options: Any) -> Iterator[Longrun]:
    """A client of this kind, with the methods of `Longrun`."""
    if kind == "blocking":
        with Longrun(url, **options) as client:
            yield client
        return
    with start_blocking_portal(kind) as portal:
        awaited = AsyncLongrun(url, **options)
        try:
            yield cast(Longrun, _Awaited(portal, awaited))
        finally:
            portal.call(awaited.close)
