"""Intake: a thread inserts all waiting submissions, commits once, and then answers them (see `batches`).

A batch that fails because of one of its jobs is tried in halves, so that the others do not suffer for it. If it would
give an owner more queued jobs than it may have, its last ones are refused.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final
from uuid import UUID

from jobcore.admission import batches
from jobcore.admission.held_keys import RETRIES, RETRY_WAIT_MS, WAIT_MS, HeldKeys
from jobcore.admission.limits import Limits
from jobcore.admission.pending import Key, Pending, answer, give_up, wanted
from jobcore.errors import LongrunError, Overloaded, QuotaExceeded, StoreUnavailable
from jobcore.host.background_thread import BackgroundThread
from jobcore.models import Accepted, IdempotencyKey, KnownJob, NewJob
from jobcore.store import health
from jobcore.store.database import Database
from jobcore.store.idempotency import Outcome
from jobcore.telemetry import logs, metrics, traces

MAX_BATCH: Final = 500
MAX_WAITING: Final = 10_000
STALL_S: Final = 30.0
"""The thread is stalled if one step takes this many seconds; every database call has an earlier deadline."""
STOP_S: Final = 15.0

log = logs.get(__name__)


class Intake(BackgroundThread):
    """The group commit of an API process.

    `on_accepted` is called after each commit, before the answers; `limits` are updated after the answers.
    """

    def __init__(
        self,
        db: Database,
        on_accepted: Callable[[list[Accepted]], None],
        limits: Limits | None = None,
        held: HeldKeys | None = None,
    ) -> None:
        super().__init__("intake", stop_s=STOP_S, stall_s=STALL_S)
        self._db = db
        self._limits = limits
        self._on_accepted = on_accepted
        self._held = held or HeldKeys()
        self._waiting: list[Pending] = []
        self._checks: list[Future[None]] = []
        self._doubtful = True
        self._changed = threading.Condition()
        self._outage = logs.Outage(
            log, "submissions are refused: the database is unavailable", "submissions are accepted again"
        )

    def on_stop(self) -> None:
        """Wake the thread, which stores the submissions that wait and then ends."""
        with self._changed:
            self._changed.notify()

    async def submit(
        self, job: NewJob, key: IdempotencyKey | None = None, timeout_s: float | None = None
    ) -> Accepted | KnownJob:
        """Accept a job; returns once its row is committed. A KnownJob is there already: see `NewJob.dedupe_key`, `key`.

        Raises StoreUnavailable, also after `timeout_s`, Overloaded, RowRefused if PostgreSQL cannot store the job,
        QuotaExceeded, IdempotencyKeyReused, or IdempotencyKeyInUse or DedupeKeyInUse if another request with the key is
        not answered yet.
        """
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Accepted | KnownJob] = loop.create_future()
        with self._changed:
            self._refuse_if_stopping()
            if len(self._waiting) >= MAX_WAITING:
                raise Overloaded(f"{MAX_WAITING:,} submissions already wait for their commit: try again later")
            self._waiting.append(Pending(job, key, loop, answered))
            self._changed.notify()
        # not `asyncio.timeout`, which costs several times as much
        expiry = None if timeout_s is None else loop.call_later(timeout_s, give_up, answered, timeout_s)
        try:
            return await answered
        finally:
            if expiry is not None:
                expiry.cancel()

    async def check(self) -> None:
        """Return once the thread has committed on its own connection, so that a submission would be accepted.

        Raises the error that a submission would get.
        """
        check: Future[None] = Future()
        with self._changed:
            self._refuse_if_stopping()
            if len(self._waiting) >= MAX_WAITING:
                raise Overloaded(f"{MAX_WAITING:,} submissions already wait for their commit: try again later")
            self._checks.append(check)
            self._changed.notify()
        await asyncio.wrap_future(check)

    def _refuse_if_stopping(self) -> None:
        if self.stopping:
            raise StoreUnavailable("this process is stopping and accepts no more jobs: try again")

    def run(self) -> None:
        """Store and answer what waits, until stopped and nothing waits."""
        while taken := self._take():
            batch, checks = taken
            try:
                self._serve(wanted(batch), checks)
            except BaseException as error:
                # every waiter gets an answer, whatever happened
                failure = LongrunError(f"the intake thread failed: {error!r}")
                answer([(pending, failure) for pending in [*batch, *self._held.take_all()]])
                _resolve_checks(checks, failure)
                raise

    def _take(self) -> tuple[list[Pending], list[Future[None]]] | None:
        self.rest()
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._checks or self.stopping, self._held.pause_s())
            self.beat()
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            checks, self._checks = self._checks, []
        return (batch, checks) if batch or checks or self._held.pause_s() is not None else None

    def _serve(self, batch: list[Pending], checks: list[Future[None]]) -> None:
        answers = self._settle(batch, WAIT_MS, self._held.known())
        firsts, others = self._held.take_due(now=self.stopping)
        held: dict[Key, LongrunError] = {}
        for retried in (firsts, others):
            answers += self._settle(wanted(retried), RETRY_WAIT_MS, held)
        accepted = [answer for answer in answers if isinstance(answer, Accepted)]
        if any(isinstance(answer, LongrunError) and not batches.is_answer(answer) for answer in answers):
            self._doubtful = True
        elif accepted:
            self._doubtful = False
        if checks:
            _resolve_checks(checks, None if accepted else self._probe())
        self.beat()
        if self._limits:
            self._limits.accepted(accepted)

    def _probe(self) -> LongrunError | None:
        """Why no submission would be accepted now; None if one would be.

        After a failure the probe rehearses a whole submission; otherwise it only commits.
        """
        try:
            self._db.call(health.rehearse if self._doubtful else health.commit)
        except LongrunError as error:
            self._doubtful = True
            return error
        self._doubtful = False
        return None

    def _settle(self, batch: Sequence[Pending], wait_ms: int, held: dict[Key, LongrunError]) -> list[Outcome]:
        """Accept and answer the submissions, or set them aside; returns the answers."""
        if not batch:
            return []
        with traces.within(batch[0].job.traceparent):
            outcomes = self._accept(batch, wait_ms, held, len(held) + RETRIES)
        answers = [(pending, outcomes[pending.job.id]) for pending in batch]
        if held and not self.stopping:
            answers = [each for each in answers if not self._is_kept(*each)]
        answer(answers)
        return [outcome for _, outcome in answers]

    def _is_kept(self, pending: Pending, outcome: Outcome) -> bool:
        return isinstance(outcome, LongrunError) and batches.is_in_use(outcome) and self._held.keep(pending, outcome)

    def _accept(
        self, batch: Sequence[Pending], wait_ms: int, held: dict[Key, LongrunError], most: int
    ) -> dict[UUID, Outcome]:
        """The outcomes by the ids of the jobs. Keys in `held` are not tried; up to `most` in all are found and added.

        If even more seem to be held, it may be because a table is locked. Then those that failed together are not told
        apart.
        """
        self.beat()
        outcomes: dict[UUID, Outcome] = {}
        if held:
            outcomes = {pending.job.id: held[key] for pending in batch for key in pending.keys if key in held}
            batch = [pending for pending in batch if pending.job.id not in outcomes]
        if not batch:
            return outcomes
        try:
            return outcomes | self._insert(batch, wait_ms, held)
        except QuotaExceeded as error:
            late = [pending for pending in batch if pending.job.owner == error.owner][-error.over :]
            refused: dict[UUID, Outcome] = {pending.job.id: error for pending in late}
            others = [pending for pending in batch if pending.job.id not in refused]
            return outcomes | refused | self._accept(others, wait_ms, held, most)
        except LongrunError as error:
            is_in_use = batches.is_in_use(error)
            if len(batch) > 1 and batches.concerns_one(error) and not (is_in_use and len(held) >= most):
                half = len(batch) // 2
                for part in (batch[:half], batch[half:]):
                    outcomes |= self._accept(part, RETRY_WAIT_MS, held, most)
                return outcomes
            if is_in_use:
                held |= {key: error for pending in batch for key in pending.keys}
            return outcomes | {pending.job.id: error for pending in batch}

    def _insert(self, batch: Sequence[Pending], wait_ms: int, held: dict[Key, LongrunError]) -> dict[UUID, Outcome]:
        """Insert the jobs in one commit; raises LongrunError if a part of them might succeed."""
        try:
            outcomes = batches.insert(self._db, [(pending.job, pending.key) for pending in batch], wait_ms)
        except StoreUnavailable as error:
            self._outage.begin(error)
            raise
        except LongrunError:
            raise
        except Exception as error:
            log.exception("cannot store submissions")
            raise LongrunError(str(error)) from error
        self._outage.end()
        found = dict(zip((pending.job.id for pending in batch), outcomes, strict=True))
        held |= {
            key: outcome
            for pending, outcome in zip(batch, outcomes, strict=True)
            if isinstance(outcome, LongrunError) and batches.is_in_use(outcome)
            for key in pending.keys
        }
        accepted = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
        made = {job.id for job in accepted}
        metrics.accepted(pending.job for pending in batch if pending.job.id in made)
        self._wake_for(accepted)
        return found

    def _wake_for(self, accepted: list[Accepted]) -> None:
        try:
            self._on_accepted(accepted)
        except Exception:
            log.exception("could not send wake-ups; the keeper will")


def _resolve_checks(checks: Sequence[Future[None]], failure: LongrunError | None) -> None:
    for future in checks:
        if not future.done() and future.set_running_or_notify_cancel():
            if failure:
                future.set_exception(failure)
            else:
                future.set_result(None)
