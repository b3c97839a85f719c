"""asyncio tasks that work in the background while the process runs."""

from __future__ import annotations

import asyncio
from contextlib import suppress


async def end(task: asyncio.Task[None] | None) -> None:
    """Cancel a task and wait until it has ended; None: it was never started."""
    if task is not None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
