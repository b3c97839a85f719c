"""asyncio tasks that work in the background while the process runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from structlog.stdlib import BoundLogger

from jobcore.errors import StoreUnavailable
from jobcore.telemetry.logs import Outage


async def reread(read: Callable[[], Awaitable[None]], every_s: float, log: BoundLogger, away: str, back: str) -> None:
    """Read something of PostgreSQL now and every `every_s` seconds; `away` and `back` say in the log whether it can."""
    outage = Outage(log, away, back)
    while True:
        try:
            await read()
            outage.end()
        except StoreUnavailable as error:
            outage.begin(error)
        except Exception:
            log.exception(away)
        await asyncio.sleep(every_s)


async def end(task: asyncio.Task[None] | None) -> None:
    """Cancel a task and wait until it has ended; None: it was never started."""
    if task is not None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
