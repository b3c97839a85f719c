"""How many streams an owner may have open: counted in Redis, for all processes of the API together.

Each process says how many streams of an owner it has, when it opens one and again every REFRESH_S seconds. What a
process said is forgotten after EXPIRY_S seconds, so the streams of one that was killed do not count for ever. While
Redis does not answer, nobody is refused.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final
from uuid import uuid4

from jobcore.errors import QuotaExceeded
from jobcore.settings.redis_server import RedisServer
from jobcore.telemetry import logs
from longrun_api import background_tasks
from longrun_api.problems import HttpError
from longrun_api.redis_script import RedisScript

REFRESH_S: Final = 10.0
EXPIRY_S: Final = 30.0
RETRY_AFTER_S: Final = 5

# The value has "process streams end;" for each process; `end` is when that expires, in milliseconds since the epoch.
# With a quota (not -1), the last stream that this process says it has is left out if it is one too many.
COUNT: Final = """
local me, own, quota = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now, expiry = tonumber(ARGV[4]), tonumber(ARGV[5])
local others, kept = 0, ''
for process, streams, ends in string.gmatch(redis.call('GET', KEYS[1]) or '', '(%S+) (%d+) (%d+);') do
    if process ~= me and tonumber(ends) > now then
        others = others + tonumber(streams)
        kept = kept .. process .. ' ' .. streams .. ' ' .. ends .. ';'
    end
end
local granted = 1
if quota >= 0 and others + own > quota then own, granted = own - 1, 0 end
if own > 0 then kept = kept .. string.format('%s %d %d;', me, own, now + expiry) end
if kept == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], kept, 'PX', expiry) end
return {granted, others + own}
"""

log = logs.get(__name__)


class StreamsExceeded(QuotaExceeded, HttpError):
    """The owner has as many open streams as it may."""

    quota = "streams"
    retry_after_s = RETRY_AFTER_S

    def __init__(self, most: int) -> None:
        super().__init__(
            f"{most} streams are open, and no more may be: close one, or follow many tasks with one stream"
        )


class StreamQuota:
    """Counts the open streams of owners. The operator's are not counted."""

    def __init__(self, server: RedisServer, quota_of: Callable[[str], int | None], expiry_s: float = EXPIRY_S) -> None:
        """`quota_of` says how many streams an owner may have open; None: any number."""
        self._quota_of = quota_of
        self._expiry_ms = int(expiry_s * 1000)
        outage = logs.Outage(log, "open streams are not counted: Redis is unavailable", "open streams are counted")
        self._script = RedisScript(server, COUNT, outage)
        self._me = uuid4().hex
        self._open = Counter[str]()
        """The streams of this process, by owner, also of owners without a quota, who may get one."""
        self._turn = asyncio.Lock()
        """Redis gets the counts in the order in which they change."""
        self._changed: set[str] = set()
        self._is_changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start telling Redis."""
        self._task = asyncio.create_task(self._run(), name="stream quota")

    async def close(self) -> None:
        """Stop; streams that are still open are forgotten when what was said of them expires."""
        await background_tasks.end(self._task)
        await self._script.close()

    @asynccontextmanager
    async def place(self, owner: str | None) -> AsyncIterator[None]:
        """A place for a stream of this owner; raises StreamsExceeded."""
        if owner is None:
            yield
            return
        await self._enter(owner)
        try:
            yield
        finally:
            self._leave(owner)

    async def used(self, owner: str) -> int | None:
        """How many streams this owner has open; None: Redis is away."""
        async with self._turn:
            answer = await self._tell(owner, self._open[owner])
        return None if answer is None else answer[1]

    async def _enter(self, owner: str) -> None:
        async with self._turn:
            most = self._quota_of(owner)
            if most is not None:
                answer = await self._tell(owner, self._open[owner] + 1, most)
                if answer is not None and not answer[0]:
                    raise StreamsExceeded(most)
            self._open[owner] += 1

    def _leave(self, owner: str) -> None:
        self._open[owner] -= 1
        if not self._open[owner]:
            del self._open[owner]
        self._changed.add(owner)
        self._is_changed.set()

    async def _run(self) -> None:
        """Tell Redis of streams that have ended, and again of those that are open."""
        refresh_at = time.monotonic() + REFRESH_S
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_changed.wait(), refresh_at - time.monotonic())
            self._is_changed.clear()
            if time.monotonic() >= refresh_at:
                refresh_at = time.monotonic() + REFRESH_S
                self._changed |= self._open.keys()
            while self._changed:
                owner = self._changed.pop()
                if self._quota_of(owner) is not None:
                    async with self._turn:
                        await self._tell(owner, self._open[owner])

    async def _tell(self, owner: str, streams: int, most: int = -1) -> tuple[int, int] | None:
        """Say how many streams of the owner this process has; whether that is within the quota, and all of them."""
        now = int(time.time() * 1000)
        answer = await self._script.ask(f"quota:streams:{owner}", self._me, streams, most, now, self._expiry_ms)
        return None if answer is None else (answer[0], answer[1])
