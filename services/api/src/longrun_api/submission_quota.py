"""How many tasks an owner may submit in a second: counted in Redis, for all processes of the API together.

A process takes a twentieth of the quota at once, so that not every submission asks Redis. A batch that begins within
the quota is accepted as a whole, and the time until the next submission grows with it: on average the quota holds.
While Redis does not answer, nobody is refused, because a counter must not stop what PostgreSQL can accept.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

from jobcore.errors import QuotaExceeded
from jobcore.settings.redis_server import RedisServer
from jobcore.telemetry import logs
from longrun_api.problems import HttpError
from longrun_api.redis_script import RedisScript

POLICY: Final = "submissions"
WINDOW_S: Final = 1.0
SHARE: Final = 20
"""A process takes this part of the quota at once."""
TURNS: Final = 4
"""How many requests ask Redis at once."""
MAX_OWNERS: Final = 10_000
"""Owners whose submissions a process counts by itself for the rest of a window."""

# The value is "used end", the end of the window in milliseconds since the epoch. Numbers are whole.
TAKE: Final = """
local quota, wanted, needed = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now, window = tonumber(ARGV[4]), tonumber(ARGV[5])
local used, ends = 0, now + window
local value = redis.call('GET', KEYS[1])
if value then
    local a, b = string.match(value, '^(%d+) (%d+)$')
    used, ends = tonumber(a), math.min(tonumber(b), now + window * math.max(1, math.ceil(tonumber(a) / quota)))
end
if used >= quota then return {0, 0, math.max(1, ends - now)} end
local granted = math.max(needed, math.min(wanted, quota - used))
used = used + granted
if used > quota then ends = math.max(ends, now + math.ceil(window * used / quota)) end
local left = math.max(1, ends - now)
redis.call('SET', KEYS[1], string.format('%d %d', used, ends), 'PX', left)
return {granted, math.max(0, quota - used), left}
"""

log = logs.get(__name__)


class SubmissionsExceeded(QuotaExceeded, HttpError):
    """The owner has submitted as much as it may in this window."""

    quota = POLICY

    def __init__(self, use: Use) -> None:
        super().__init__(f"{use.quota} tasks can be submitted in a second: try again in {use.resets_s} s")
        self.retry_after_s = use.resets_s
        self.headers = use.headers


@dataclass(frozen=True, slots=True)
class Use:
    """What is left of a quota."""

    quota: int
    left: int
    resets_s: int
    """Seconds until it is whole again."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that say so (draft-ietf-httpapi-ratelimit-headers-11)."""
        return {
            "RateLimit-Policy": f'"{POLICY}";q={self.quota};w={WINDOW_S:g}',
            "RateLimit": f'"{POLICY}";r={self.left};t={self.resets_s}',
        }


@dataclass(slots=True)
class _Taken:
    """What this process has taken of an owner's quota, and may give away until the window ends."""

    quota: int
    """What the quota was then."""
    own: int
    elsewhere: int
    """What was left in Redis; it only falls within a window."""
    ends_at: float


class SubmissionQuota:
    """Counts the submissions of owners. The operator's are not counted."""

    def __init__(self, server: RedisServer, quota_of: Callable[[str], int | None], window_s: float = WINDOW_S) -> None:
        """`quota_of` says how many tasks an owner may submit in a window; None: any number."""
        self._quota_of = quota_of
        self._window_s = window_s
        outage = logs.Outage(log, "submissions are not counted: Redis is unavailable", "submissions are counted")
        self._script = RedisScript(server, TAKE, outage)
        self._turns = asyncio.Semaphore(TURNS)
        self._asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """By owner, as long as a request of it asks: two at once would not know what the other is given."""
        self._taken: dict[str, _Taken] = {}

    async def take(self, owner: str | None, tasks: int = 1) -> Use | None:
        """Count this many tasks of an owner; raises SubmissionsExceeded. None: they are not counted."""
        if owner is None or tasks == 0 or (quota := self._quota_of(owner)) is None:
            return None
        # what another request is being given now may be enough for this one, too
        if owner not in self._asking and (use := self._spend(quota, owner, tasks)):
            return use
        asking = self._asking.setdefault(owner, asyncio.Lock())
        async with asking, self._turns:
            if use := self._spend(quota, owner, tasks):
                return use
            if not await self._take_more(quota, owner, tasks):
                return None
            return self._spend(quota, owner, tasks)

    async def close(self) -> None:
        """Close the connections to Redis."""
        await self._script.close()

    def _spend(self, quota: int, owner: str, tasks: int) -> Use | None:
        """Use what this process has; None: it has too little, and Redis may have more. Raises SubmissionsExceeded."""
        taken, now = self._taken.get(owner), time.monotonic()
        if taken is None or taken.ends_at <= now or taken.quota != quota:
            return None
        resets_s = math.ceil(taken.ends_at - now)
        if taken.own >= tasks:
            taken.own -= tasks
            return Use(quota, taken.own + taken.elsewhere, resets_s)
        if taken.elsewhere == 0:
            raise SubmissionsExceeded(Use(quota, taken.own, resets_s))
        return None

    async def _take_more(self, quota: int, owner: str, tasks: int) -> bool:
        """Take of the owner's quota in Redis, at least these tasks; returns whether Redis has answered."""
        arguments = (quota, max(tasks, quota // SHARE), tasks, int(time.time() * 1000), int(self._window_s * 1000))
        answer = await self._script.ask(f"quota:{POLICY}:{owner}", *arguments)
        if answer is None:
            return False
        granted, elsewhere, ends_in_ms = answer
        known, now = self._taken.get(owner), time.monotonic()
        own = known.own if known is not None and known.ends_at > now else 0
        if known is None and len(self._taken) >= MAX_OWNERS:
            self._taken.clear()  # costs each of them a question to Redis, and a part of its quota
        self._taken[owner] = _Taken(quota, own + granted, elsewhere, now + ends_in_ms / 1000)
        return True
