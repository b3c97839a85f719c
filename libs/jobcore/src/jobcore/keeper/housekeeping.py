"""Housekeeping: the keeper's long work, in a thread of its own, so that it delays no wake-up and no rescue.

    expiry       jobs that were not started in time fail, the longest expired first
    rollups      what happened to jobs is counted for each minute and hour
    retention    jobs that ended long ago are deleted, in passes over the history from its oldest id
    forgetting   past turns of fairness keys, past starts, unused queues and limits, old idempotency keys, old
                 entries of the audit log, ended sessions whose time is over, old rollups, workers that ended a day ago,
                 and published task types that nobody knows any more are deleted

Each step is a short statement over a batch. While there is more to do, each step is followed by a pause as long as the
step, so a large backlog takes at most half of one connection. A step that fails delays no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from jobcore.broker.event_publisher import EventPublisher
from jobcore.errors import LongrunError, StoreUnavailable
from jobcore.host.background_thread import BackgroundThread
from jobcore.keeper.batch_pace import BatchPace
from jobcore.settings import CoreSettings
from jobcore.store import (
    audit_log,
    concurrency_limits,
    ended_sessions,
    expiry,
    fair_turns,
    idempotency,
    queues,
    rate_limits,
    retention,
    rollups,
    starts,
    task_types,
    workers,
)
from jobcore.store.database import Database
from jobcore.telemetry import logs, traces

CHECK_S: Final = 0.5
EXPIRY_S: Final = 1.0
PASS_S: Final = 5.0
"""The pause between two passes over the same rows, in seconds."""
LONGEST_PASS_S: Final = 60.0
"""A pass that changes nothing doubles its pause, up to this many seconds."""
FRUITLESS: Final = 10
"""The pause after a pass that read many rows and changed none, as a multiple of its duration."""
QUEUES: Final = 500
"""How many queues one step deletes at most, because intakes wait for it."""
EVENTS: Final = 10
"""How many events are counted in a step for each row that it may take, because it only reads them."""
DAY_S: Final = 86_400
START: Final = UUID(int=0)

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """How many rows a step changed, and whether its pass has more steps."""

    rows: int
    more: bool


class Pass:
    """Repeated passes over one kind of row; `step` is given how many rows to take, and changes at most as many."""

    def __init__(
        self, step: Callable[[int], Done], *, pause_s: float = PASS_S, longest_s: float = LONGEST_PASS_S
    ) -> None:
        self._step = step
        self._shortest_s = self._pause_s = pause_s
        self._longest_s = longest_s
        self._changed = False
        self._pace = BatchPace()
        self._due = 0.0
        self._fruitless_s = 0.0

    def run_step(self) -> bool:
        """Take a step if one is due; True if the next one is due at once."""
        began = time.monotonic()
        if began < self._due:
            return False
        try:
            done = self._step(self._pace.size)
        except BaseException:
            self._pace.failed()
            self._due = time.monotonic() + PASS_S
            raise
        seconds = time.monotonic() - began
        if not done.rows:
            self._fruitless_s += seconds
        self._changed |= done.rows > 0
        if done.more:
            self._pace.succeeded(seconds)
        else:
            self._end()
        return done.more

    def _end(self) -> None:
        self._pause_s = self._shortest_s if self._changed else min(2 * self._pause_s, self._longest_s)
        self._due = time.monotonic() + max(self._pause_s, FRUITLESS * self._fruitless_s)
        self._fruitless_s = 0.0
        self._changed = False


class Housekeeping(BackgroundThread):
    """The thread that does this work while `leads` returns True."""

    def __init__(self, settings: CoreSettings, publisher: EventPublisher, leads: Callable[[], bool]) -> None:
        super().__init__("housekeeping")
        self._publisher = publisher
        self._leads = leads
        self._retention_s = settings.retention_days * DAY_S
        self._keys_s = settings.idempotency_keys_s
        self._audit_s = settings.audit_days * DAY_S
        self._db = Database(
            settings.database_url, schema=settings.database_schema, name="longrun-housekeeping", pool_size=1
        )
        self._outage = logs.Outage(log, "housekeeping paused: the database is unavailable", "housekeeping resumed")
        self._retired = START
        self._queue = ""
        self._passes = [
            Pass(self._expire, pause_s=EXPIRY_S, longest_s=EXPIRY_S),
            Pass(self._count, longest_s=PASS_S),
            Pass(self._retire),
            Pass(self._forgetting(fair_turns.forget)),
            Pass(self._forget_queues),
            Pass(self._forget_limits),
            Pass(self._forgetting(starts.forget)),
            Pass(self._forgetting(idempotency.forget, self._keys_s)),
            Pass(self._forgetting(audit_log.forget, self._audit_s)),
            Pass(self._forgetting(rollups.forget)),
            Pass(self._forgetting(ended_sessions.forget)),
            Pass(self._forget_workers),
            Pass(self._forget_types),
        ]

    def run(self) -> None:
        """Check again and again until stopped."""
        with traces.quiet():
            pause_s = CHECK_S
            while not self.pause(pause_s):
                began = time.monotonic()
                more = self._leads() and self.check()
                pause_s = min(CHECK_S, time.monotonic() - began) if more else CHECK_S

    def check(self) -> bool:
        """Take one step of every pass that is due; True if more steps are due at once."""
        more = False
        failure: LongrunError | None = None
        for each in self._passes:
            self.beat()
            try:
                more |= each.run_step()
            except LongrunError as error:
                failure = error
            except Exception:
                log.exception("housekeeping failed; retrying")
        if failure:
            self._outage.begin(failure)
        else:
            self._outage.end()
        return more

    def _expire(self, size: int) -> Done:
        changes = self._db.call(expiry.expire, size)
        self._publisher.publish_changes(changes)
        return Done(len(changes), len(changes) == size)

    def _count(self, size: int) -> Done:
        counted = self._db.call(rollups.count, EVENTS * size)
        return Done(counted, counted == EVENTS * size)

    def _retire(self, size: int) -> Done:
        if not self._retention_s:
            return Done(0, False)
        seen = self._db.call(
            retention.delete_ended, self._retired, _oldest_kept(self._retention_s), self._retention_s, size
        )
        self._retired = seen.last or START
        return Done(seen.jobs, seen.last is not None)

    def _forgetting(self, forget: Callable[..., int], *about: object) -> Callable[[int], Done]:
        """The step of a function of the store that deletes at most as many rows as it is told, and returns how many."""

        def step(size: int) -> Done:
            forgotten = self._db.call(forget, *about, size)
            return Done(forgotten, forgotten == size)

        return step

    def _forget_queues(self, size: int) -> Done:
        names = self._db.call(queues.names, self._queue, min(size, QUEUES))
        self._queue = names[-1] if names else ""
        forgotten = 0
        with suppress(StoreUnavailable):  # an intake holds the queues: the next pass deletes them
            forgotten = self._db.call(queues.forget, names)
        return Done(forgotten, bool(names))

    def _forget_limits(self, _size: int) -> Done:
        if not self._retention_s:
            return Done(0, False)
        forgotten = self._db.call(concurrency_limits.forget, self._retention_s)
        forgotten += self._db.call(rate_limits.forget, self._retention_s)
        return Done(forgotten, forgotten > 0)

    def _forget_workers(self, _size: int) -> Done:
        return Done(self._db.call(workers.forget), False)

    def _forget_types(self, _size: int) -> Done:
        return Done(self._db.call(task_types.forget), False)


def _oldest_kept(age_s: float) -> UUID:
    """The smallest UUIDv7 (RFC 9562, section 5.7) of a time `age_s` seconds ago."""
    at = datetime.now(UTC) - timedelta(seconds=age_s)
    return UUID(int=int(at.timestamp() * 1000) << 80)
