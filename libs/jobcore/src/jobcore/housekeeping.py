"""Housekeeping: what may take long, beside the keeper and at a pace of its own, so that it delays no wake-up or rescue.

    expiry       jobs that were not started in time fail, the longest expired first
    retention    jobs that ended long ago are deleted, in passes over the history from its oldest id
    forgetting   turns of fairness keys that are over, queues that nobody uses, workers that ended a day ago

Each step is a short statement over a batch. While there is more to do they follow each other with as long a pause as
each took: a large backlog never takes more than half of one connection.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from jobcore import logs, telemetry
from jobcore.errors import LongrunError, StoreUnavailable
from jobcore.live import Announcer
from jobcore.settings import CoreSettings
from jobcore.store import queues, upkeep, workers
from jobcore.store.database import Database
from jobcore.threads import LongThread

PACE_S: Final = 0.5
PASS_S: Final = 5.0
"""A pass over the history, and one over the queues, begins so many seconds after the one before has ended."""
BATCH: Final = 1000
DAY_S: Final = 86_400
FIRST: Final = UUID(int=0)

log = logs.get(__name__)


class Housekeeping:
    """The thread that tidies while `leads` says that this process is the one to do so."""

    def __init__(self, settings: CoreSettings, announcer: Announcer, leads: Callable[[], bool]) -> None:
        self._announcer = announcer
        self._leads = leads
        self._retention_s = settings.retention_days * DAY_S
        self._db = Database(
            settings.database_url, schema=settings.database_schema, name="longrun-housekeeping", pool_size=1
        )
        self._outage = logs.Outage(log, "housekeeping waits: the database is away", "housekeeping goes on")
        self._retired = FIRST
        self._queue = ""
        self._next_pass = {self._retire: 0.0, self._forget: 0.0}
        self._stopping = threading.Event()
        self._thread = LongThread("housekeeping", self.run)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end."""
        self._stopping.set()
        self._thread.join(5)

    def run(self) -> None:
        """Tidy until stopped."""
        with telemetry.quiet():
            pause_s = PACE_S
            while not self._stopping.wait(pause_s):
                self._thread.beat()
                pause_s = PACE_S
                if not self._leads():
                    continue
                try:
                    began = time.monotonic()
                    if self.look():
                        pause_s = min(PACE_S, time.monotonic() - began)
                    self._outage.end()
                except LongrunError as error:
                    self._outage.begin(error)
                except Exception:
                    log.exception("housekeeping failed; it tries again")

    def look(self) -> bool:
        """One step of everything; whether there is more to do at once."""
        more = self._expire()
        for step, due in self._next_pass.items():
            if time.monotonic() >= due:
                more_of_it = step()
                more |= more_of_it
                self._next_pass[step] = 0.0 if more_of_it else time.monotonic() + PASS_S
        return more

    def _expire(self) -> bool:
        changes = self._db.call(upkeep.expire, BATCH)
        self._announcer.announce(changes)
        return len(changes) == BATCH

    def _retire(self) -> bool:
        if not self._retention_s:
            return False
        seen = self._db.call(upkeep.retire, self._retired, _oldest_kept(self._retention_s), self._retention_s, BATCH)
        self._retired = seen.last or FIRST
        return seen.last is not None

    def _forget(self) -> bool:
        self._db.call(workers.forget)
        self._db.call(upkeep.forget_turns)
        names = self._db.call(queues.names, self._queue)
        self._queue = names[-1] if names else ""
        with suppress(StoreUnavailable):  # an intake takes long: later
            self._db.call(queues.forget, names)
        return bool(names)


def _oldest_kept(age_s: float) -> UUID:
    """The smallest UUIDv7 (RFC 9562, section 5.7) of a time `age_s` seconds ago."""
    at = datetime.now(UTC) - timedelta(seconds=age_s)
    return UUID(int=int(at.timestamp() * 1000) << 80)
