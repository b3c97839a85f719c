"""Intake: many submissions, one commit. A thread takes all that wait, inserts them, commits once and answers them.

A submission is answered only after its row is committed. If the connection breaks in COMMIT, the outcome is asked
for by id after reconnecting; what is there, and durable, was accepted.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from jobcore.admission.limits import Limits
from jobcore.errors import LongrunError, Overloaded, StoreUnavailable
from jobcore.host.background_thread import BackgroundThread
from jobcore.models import Accepted, NewJob
from jobcore.store import health, jobs
from jobcore.store.database import Database, RowRefused
from jobcore.telemetry import logs, metrics, traces

MAX_BATCH: Final = 500
MAX_WAITING: Final = 10_000
STALL_S: Final = 30.0
"""So long the thread may be at one thing: a call that PostgreSQL does not answer ends sooner."""
STOP_S: Final = 15.0

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class _Submission:
    job: NewJob
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Accepted]


class Intake(BackgroundThread):
    """The group commit of an API process: `on_accepted` hears of each commit, `limits` after the answers."""

    def __init__(
        self, db: Database, on_accepted: Callable[[list[Accepted]], None], limits: Limits | None = None
    ) -> None:
        super().__init__("intake", stop_s=STOP_S, stall_s=STALL_S)
        self._db = db
        self._limits = limits
        self._on_accepted = on_accepted
        self._waiting: list[_Submission] = []
        self._asking: list[Future[None]] = []
        self._doubtful = True
        self._changed = threading.Condition()
        self._outage = logs.Outage(log, "tasks are refused: the database does not take them", "tasks are taken again")

    def on_stop(self) -> None:
        """Wake the thread, which commits what waits and then ends."""
        with self._changed:
            self._changed.notify()

    async def submit(self, job: NewJob) -> Accepted:
        """Accept a job: returns once its row is committed.

        Raises StoreUnavailable (nothing was accepted), Overloaded, or RowRefused when PostgreSQL cannot store it.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Accepted] = loop.create_future()
        with self._changed:
            self._refuse_if_stopping()
            if len(self._waiting) >= MAX_WAITING:
                raise Overloaded(f"{MAX_WAITING} submissions wait for their commit already")
            self._waiting.append(_Submission(job, loop, answer))
            self._changed.notify()
        return await answer

    async def check(self) -> None:
        """Return once this thread has committed something on its own connection: then a submission would be accepted.

        Raises what a submission would be answered with.
        """
        asking: Future[None] = Future()
        with self._changed:
            self._refuse_if_stopping()
            if len(self._waiting) >= MAX_WAITING:
                raise Overloaded(f"{MAX_WAITING} submissions wait for their commit already")
            self._asking.append(asking)
            self._changed.notify()
        await asyncio.wrap_future(asking)

    def _refuse_if_stopping(self) -> None:
        if self.stopping:
            raise StoreUnavailable("this process is stopping and takes no more jobs")

    def run(self) -> None:
        """Serve what waits, until stopped and nothing waits."""
        while taken := self._take():
            batch, asking = taken
            try:
                self._serve(_wanted(batch), asking)
            except BaseException as error:
                # whatever happens: nobody waits for an answer that never comes
                failure = LongrunError(f"the intake failed: {error!r}")
                _answer(batch, [failure] * len(batch))
                _tell(asking, failure)
                raise

    def _take(self) -> tuple[list[_Submission], list[Future[None]]] | None:
        self.rest()
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._asking or self.stopping)
            self.beat()
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            asking, self._asking = self._asking, []
        return (batch, asking) if batch or asking else None

    def _serve(self, batch: list[_Submission], asking: list[Future[None]]) -> None:
        answers: list[Accepted | LongrunError] = []
        if batch:
            with traces.within(batch[0].job.traceparent):
                answers = self._accept(batch)
            _answer(batch, answers)
        accepted = [answer for answer in answers if isinstance(answer, Accepted)]
        if any(not isinstance(answer, Accepted | RowRefused) for answer in answers):
            self._doubtful = True
        elif accepted:
            self._doubtful = False
        if asking:
            _tell(asking, None if accepted else self._try())
        self.beat()
        if self._limits:
            self._limits.accepted(accepted)

    def _try(self) -> LongrunError | None:
        """Why no submission would be accepted now. Whatever failed last is rehearsed as a whole."""
        try:
            self._db.call(health.rehearse if self._doubtful else health.commit)
        except LongrunError as error:
            self._doubtful = True
            return error
        self._doubtful = False
        return None

    def _accept(self, batch: Sequence[_Submission]) -> list[Accepted | LongrunError]:
        given = [submission.job for submission in batch]
        self.beat()
        try:
            accepted = {job.id: job for job in self._insert(given)}
        except RowRefused as refused:
            if len(batch) == 1:
                return [refused]
            # one bad row must not sink the others
            return [answer for submission in batch for answer in self._accept([submission])]
        except StoreUnavailable as error:
            self._outage.begin(error)
            return [error] * len(batch)
        except LongrunError as error:
            return [error] * len(batch)
        except Exception as error:
            log.exception("submissions could not be stored")
            return [LongrunError(str(error))] * len(batch)
        self._outage.end()
        metrics.accepted(job for job in given if job.id in accepted)
        self._wake_for(list(accepted.values()))
        missing = StoreUnavailable("the database went away before it confirmed the commit")
        return [accepted.get(job.id, missing) for job in given]

    def _wake_for(self, accepted: list[Accepted]) -> None:
        try:
            self._on_accepted(accepted)
        except Exception:
            log.exception("accepted jobs could not be told on; the keeper wakes for them")

    def _insert(self, given: Sequence[NewJob]) -> list[Accepted]:
        try:
            return self._db.call(jobs.insert, given)
        except StoreUnavailable as error:
            try:
                found = self._db.call(health.committed, [job.id for job in given])
            except StoreUnavailable:
                raise error from None
            if not found:
                raise
            return found


def _wanted(batch: Sequence[_Submission]) -> list[_Submission]:
    """Those whose client still waits: whoever was told 503 meanwhile must not find the job accepted."""
    return [submission for submission in batch if not submission.answer.cancelled()]


def _tell(asking: Sequence[Future[None]], failure: LongrunError | None) -> None:
    for future in asking:
        if not future.done() and future.set_running_or_notify_cancel():
            if failure:
                future.set_exception(failure)
            else:
                future.set_result(None)


def _answer(batch: Sequence[_Submission], answers: Sequence[Accepted | LongrunError]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Accepted], Accepted | LongrunError]]] = {}
    for submission, answer in zip(batch, answers, strict=True):
        by_loop.setdefault(submission.loop, []).append((submission.answer, answer))
    for loop, pairs in by_loop.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits there any more
            loop.call_soon_threadsafe(_resolve, pairs)


def _resolve(pairs: Sequence[tuple[asyncio.Future[Accepted], Accepted | LongrunError]]) -> None:
    for future, answer in pairs:
        if future.done():
            continue  # it was answered, or the client left: its job is accepted all the same
        if isinstance(answer, LongrunError):
            future.set_exception(answer)
        else:
            future.set_result(answer)
