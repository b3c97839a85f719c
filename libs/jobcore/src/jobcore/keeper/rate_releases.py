"""Releases of rate limits: when the next start of a key or a queue is allowed, a job is unblocked and a worker woken.

It is a thread of the keeper that leads. `look` tells it once a second, while jobs are blocked or ready, that there may
be something to do. It then surveys all limits that keep jobs from starting, and sleeps until the first of them allows a
start. While such limits are in use, it surveys them four times a second, to find the jobs that were blocked meanwhile.
While none is, it asks nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from jobcore.admission.limits import Limits
from jobcore.errors import LongrunError
from jobcore.host.background_thread import BackgroundThread
from jobcore.settings import CoreSettings
from jobcore.store import queue_rates, start_permits
from jobcore.store.database import Database
from jobcore.telemetry import logs, traces

SURVEY_S: Final = 0.25
"""The pause between two surveys, in seconds, while rate limits are in use."""
SHARE: Final = 10
"""The pause is at least so many times as long as the survey took."""
IN_USE_S: Final = 60.0
"""For how many seconds after a limit kept a job from starting it counts as in use."""
SHORTEST_S: Final = 0.01
"""Releases are at least so many seconds apart, so that frequent ones share a statement."""
KEYS: Final = 1000

log = logs.get(__name__)


class RateReleases(BackgroundThread):
    """The thread; it works while `leads` returns True. `wake(queue, count)` sends `count` wake-ups for a queue."""

    def __init__(self, settings: CoreSettings, wake: Callable[[str, int], None], leads: Callable[[], bool]) -> None:
        super().__init__("rate-releases")
        self._db = Database(
            settings.database_url, schema=settings.database_schema, name="longrun-rate-releases", pool_size=1
        )
        self._wake = wake
        self._limits = Limits(self._db, wake)
        self._leads = leads
        self._noticed = threading.Event()
        self._due: dict[str, float] = {}
        """When each rate key with blocked jobs has a permit, on the monotonic clock."""
        self._queue_due: dict[str, float] = {}
        """When a job of each queue with a rate limit may start, on the monotonic clock."""
        self._survey_at = 0.0
        self._in_use_until = 0.0
        self._outage = logs.Outage(log, "rate limits wait: the database is unavailable", "rate limits go on")

    def look(self) -> None:
        """Have the thread look for jobs that rate limits keep from starting."""
        self._noticed.set()

    def on_stop(self) -> None:
        """Wake the thread, which then ends."""
        self._noticed.set()

    def run(self) -> None:
        """Release jobs when their time comes, until stopped."""
        with traces.quiet():
            while True:
                self.rest()
                self._noticed.wait(self._pause_s())
                self.beat()
                if self.stopping:
                    return
                self._noticed.clear()
                if not self._leads():
                    self._forget()
                    continue
                try:
                    self.check()
                    self._outage.end()
                except LongrunError as error:
                    self._outage.begin(error)
                    self._noticed.set()
                    if self.pause(SURVEY_S):
                        return

    def check(self) -> None:
        """Release what is due, and survey the limits if it is time to. Raises StoreUnavailable."""
        if time.monotonic() >= self._survey_at:
            self._survey()
        now = time.monotonic()
        self._release({key for key, due in self._due.items() if due <= now})
        if any(due <= now for due in self._queue_due.values()):
            self._wake_queues()

    def _pause_s(self) -> float | None:
        """Seconds until there is something to do; None: `look` will tell."""
        now = time.monotonic()
        times = [*self._due.values(), *self._queue_due.values()]
        if now < self._in_use_until:
            times.append(self._survey_at)
        return max(SHORTEST_S, min(times) - now) if times else None

    def _survey(self) -> None:
        began = time.monotonic()
        waiting: dict[str, float] = {}
        page = self._db.call(start_permits.waiting, "", KEYS)
        while page:
            self.beat()
            waiting |= page
            page = self._db.call(start_permits.waiting, [*page][-1], KEYS) if len(page) == KEYS else {}
        full = [key for key, next_in_s in waiting.items() if next_in_s > 0]
        reclaimed = self._db.call(start_permits.reclaim, full) if full else 0
        if reclaimed:
            waiting |= dict.fromkeys(full, 0.0)
        self._due = {key: began + next_in_s for key, next_in_s in waiting.items()}
        self._wake_queues()
        now = time.monotonic()
        if self._due or self._queue_due:
            self._in_use_until = now + IN_USE_S
        self._survey_at = now + max(SURVEY_S, SHARE * (now - began))

    def _release(self, keys: set[str]) -> None:
        if not keys:
            return
        next_in_s = self._limits.unblock_starts(keys)
        now = time.monotonic()
        for key in keys:
            self._due.pop(key)
            if key in next_in_s:
                self._due[key] = now + next_in_s[key]

    def _wake_queues(self) -> None:
        """Wake workers for the queues that may start jobs now, and note when others may."""
        self._queue_due = {}
        for rate in self._db.call(queue_rates.waiting):
            if rate.permits:
                self._wake(rate.queue, rate.permits)
            else:
                self._queue_due[rate.queue] = time.monotonic() + rate.next_in_s

    def _forget(self) -> None:
        self._due, self._queue_due = {}, {}
        self._in_use_until = 0.0
