"""Intake: a thread inserts all waiting submissions, commits once, and then answers them (see `batches`)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from jobcore.admission import batches
from jobcore.admission.limits import Limits
from jobcore.errors import LongrunError, Overloaded, StoreUnavailable
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


@dataclass(frozen=True, slots=True)
class _Submission:
    job: NewJob
    key: IdempotencyKey | None
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Accepted | KnownJob]

    @property
    def keys(self) -> list[tuple[str, str]]:
        """What another transaction may hold: the kind and the text of each key."""
        found = [("idempotency", self.key and self.key.text), ("dedupe", self.job.dedupe_key)]
        return [(kind, text) for kind, text in found if text]


_Pair = tuple[asyncio.Future[Accepted | KnownJob], Outcome]


class Intake(BackgroundThread):
    """The group commit of an API process.

    `on_accepted` is called after each commit, before the answers; `limits` are updated after the answers.
    """

    def __init__(
        self, db: Database, on_accepted: Callable[[list[Accepted]], None], limits: Limits | None = None
    ) -> None:
        super().__init__("intake", stop_s=STOP_S, stall_s=STALL_S)
        self._db = db
        self._limits = limits
        self._on_accepted = on_accepted
        self._waiting: list[_Submission] = []
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

    async def submit(self, job: NewJob, key: IdempotencyKey | None = None) -> Accepted | KnownJob:
        """Accept a job; returns once its row is committed. A KnownJob is there already: see `NewJob.dedupe_key`, `key`.

        Raises StoreUnavailable, Overloaded, RowRefused if PostgreSQL cannot store the job, IdempotencyKeyReused, or
        IdempotencyKeyInUse or DedupeKeyInUse if another request with the key is not answered yet.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Accepted | KnownJob] = loop.create_future()
        with self._changed:
            self._refuse_if_stopping()
            if len(self._waiting) >= MAX_WAITING:
                raise Overloaded(f"{MAX_WAITING:,} submissions already wait for their commit: try again later")
            self._waiting.append(_Submission(job, key, loop, answer))
            self._changed.notify()
        return await answer

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
                self._serve(_wanted(batch), checks)
            except BaseException as error:
                # every waiter gets an answer, whatever happened
                failure = LongrunError(f"the intake thread failed: {error!r}")
                _answer(batch, [failure] * len(batch))
                _resolve_checks(checks, failure)
                raise

    def _take(self) -> tuple[list[_Submission], list[Future[None]]] | None:
        self.rest()
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._checks or self.stopping)
            self.beat()
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            checks, self._checks = self._checks, []
        return (batch, checks) if batch or checks else None

    def _serve(self, batch: list[_Submission], checks: list[Future[None]]) -> None:
        answers: list[Outcome] = []
        if batch:
            with traces.within(batch[0].job.traceparent):
                answers = self._accept(batch)
            _answer(batch, answers)
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

    def _accept(self, batch: Sequence[_Submission]) -> list[Outcome]:
        self.beat()
        try:
            outcomes = batches.insert(self._db, [(submission.job, submission.key) for submission in batch])
        except StoreUnavailable as error:
            self._outage.begin(error)
            return [error] * len(batch)
        except LongrunError as error:
            if len(batch) == 1 or not batches.concerns_one(error):
                return [error] * len(batch)
            return self._accept_one_by_one(batch)
        except Exception as error:
            log.exception("cannot store submissions")
            return [LongrunError(str(error))] * len(batch)
        self._outage.end()
        accepted = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
        made = {job.id for job in accepted}
        metrics.accepted(submission.job for submission in batch if submission.job.id in made)
        self._wake_for(accepted)
        return outcomes

    def _accept_one_by_one(self, batch: Sequence[_Submission]) -> list[Outcome]:
        """Accept all but those that cannot be accepted. A key that is in use is waited for once."""
        answers: list[Outcome] = []
        in_use: dict[tuple[str, str], Outcome] = {}
        for submission in batch:
            keys = submission.keys
            known = next((in_use[key] for key in keys if key in in_use), None)
            [answer] = self._accept([submission]) if known is None else [known]
            if batches.is_in_use(answer):
                in_use |= dict.fromkeys(keys, answer)
            answers.append(answer)
        return answers

    def _wake_for(self, accepted: list[Accepted]) -> None:
        try:
            self._on_accepted(accepted)
        except Exception:
            log.exception("could not send wake-ups; the keeper will")


def _wanted(batch: Sequence[_Submission]) -> list[_Submission]:
    """The submissions whose client still waits: one that got 503 meanwhile must not find its job accepted."""
    return [submission for submission in batch if not submission.answer.cancelled()]


def _resolve_checks(checks: Sequence[Future[None]], failure: LongrunError | None) -> None:
    for future in checks:
        if not future.done() and future.set_running_or_notify_cancel():
            if failure:
                future.set_exception(failure)
            else:
                future.set_result(None)


def _answer(batch: Sequence[_Submission], answers: Sequence[Outcome]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Pair]] = {}
    for submission, answer in zip(batch, answers, strict=True):
        by_loop.setdefault(submission.loop, []).append((submission.answer, answer))
    for loop, pairs in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(_resolve_answers, pairs)


def _resolve_answers(pairs: Sequence[_Pair]) -> None:
    for future, answer in pairs:
        if future.done():
            continue  # it has an answer, or its client left; an accepted job stays accepted
        if isinstance(answer, LongrunError):
            future.set_exception(answer)
        else:
            future.set_result(answer)
