"""Intake: many submissions, one commit. A thread takes all that wait, inserts them, commits once and answers them.

A submission is answered only after its row is committed. If the connection breaks in COMMIT, the outcome is asked
for by id after reconnecting; what is there was accepted.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from jobcore import logs, metrics, telemetry
from jobcore.errors import LongrunError, Overloaded, StoreUnavailable
from jobcore.gates import Gates
from jobcore.models import Accepted, NewJob
from jobcore.store import jobs
from jobcore.store.database import Database, RowRefused

MAX_BATCH: Final = 500
MAX_WAITING: Final = 10_000

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class _Submission:
    job: NewJob
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Accepted]


class Intake:
    """The group-commit writer of an API process: `on_accepted` hears of each commit, `gates` after the answers."""

    def __init__(self, db: Database, on_accepted: Callable[[list[Accepted]], None], gates: Gates | None = None) -> None:
        self._db = db
        self._gates = gates
        self._on_accepted = on_accepted
        self._waiting: list[_Submission] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Commit what waits, then end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    async def submit(self, job: NewJob) -> Accepted:
        """Accept a job: returns once its row is committed.

        Raises StoreUnavailable (nothing was accepted), Overloaded, or RowRefused when PostgreSQL cannot store it.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Accepted] = loop.create_future()
        with self._changed:
            if self._stopping:
                raise StoreUnavailable("this process is stopping and takes no more jobs")
            if len(self._waiting) >= MAX_WAITING:
                raise Overloaded(f"{MAX_WAITING} submissions wait for their commit already")
            self._waiting.append(_Submission(job, loop, answer))
            self._changed.notify()
        return await answer

    def _run(self) -> None:
        while taken := self._take():
            if batch := self._wanted(taken):
                with telemetry.within(batch[0].job.traceparent):
                    answers = self._accept(batch)
                _answer(batch, answers)
                if self._gates:
                    self._gates.arrived(answer for answer in answers if isinstance(answer, Accepted))

    def _take(self) -> list[_Submission]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            return batch

    def _wanted(self, batch: Sequence[_Submission]) -> list[_Submission]:
        """Those whose client still waits: whoever was told 503 meanwhile must not find the job accepted."""
        return [submission for submission in batch if not submission.answer.cancelled()]

    def _accept(self, batch: Sequence[_Submission]) -> list[Accepted | LongrunError]:
        given = [submission.job for submission in batch]
        try:
            accepted = {job.id: job for job in self._insert(given)}
        except RowRefused as refused:
            if len(batch) == 1:
                return [refused]
            # one bad row must not sink the others
            return [answer for submission in batch for answer in self._accept([submission])]
        except LongrunError as error:
            return [error] * len(batch)
        except Exception as error:
            log.exception("submissions could not be stored")
            return [LongrunError(str(error))] * len(batch)
        metrics.accepted(job for job in given if job.id in accepted)
        self._tell(list(accepted.values()))
        missing = StoreUnavailable("the database went away before it confirmed the commit")
        return [accepted.get(job.id, missing) for job in given]

    def _tell(self, accepted: list[Accepted]) -> None:
        try:
            self._on_accepted(accepted)
        except Exception:
            log.exception("accepted jobs could not be told on; the keeper wakes for them")

    def _insert(self, given: Sequence[NewJob]) -> list[Accepted]:
        try:
            return self._db.call(jobs.insert, given)
        except StoreUnavailable as error:
            try:
                found = self._db.call(jobs.find, [job.id for job in given])
            except StoreUnavailable:
                raise error from None
            if not found:
                raise
            return found


def _answer(batch: Sequence[_Submission], answers: Sequence[Accepted | LongrunError]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Accepted], Accepted | LongrunError]]] = {}
    for submission, answer in zip(batch, answers, strict=True):
        by_loop.setdefault(submission.loop, []).append((submission.answer, answer))
    for loop, pairs in by_loop.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits there any more
            loop.call_soon_threadsafe(_resolve, pairs)


def _resolve(pairs: Sequence[tuple[asyncio.Future[Accepted], Accepted | LongrunError]]) -> None:
    for future, answer in pairs:
        if future.cancelled():
            continue  # the client left; its job is accepted all the same
        if isinstance(answer, LongrunError):
            future.set_exception(answer)
        else:
            future.set_result(answer)
