"""Submissions that wait for their answers, which the intake's thread gives to the event loops of their clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from jobcore.errors import LongrunError, StoreUnavailable
from jobcore.models import Accepted, IdempotencyKey, KnownJob, NewJob
from jobcore.store.idempotency import Outcome

Key = tuple[str, str]
"""What another transaction may hold: the kind and the text of a key."""
_Pair = tuple[asyncio.Future[Accepted | KnownJob], Outcome]


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """A submission whose client waits in `loop` for `answer`, `since` a time of the monotonic clock."""

    job: NewJob
    key: IdempotencyKey | None
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Accepted | KnownJob]
    since: float = field(default_factory=time.monotonic)

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys of the submission; usually none or one."""
        found = [("idempotency", self.key and self.key.text), ("dedupe", self.job.dedupe_key)]
        return tuple((kind, text) for kind, text in found if text)


def wanted(batch: Sequence[Pending]) -> list[Pending]:
    """The submissions whose client still waits: one that got 503 meanwhile must not find its job accepted."""
    return [pending for pending in batch if not pending.answer.done()]


def give_up(answer: asyncio.Future[Accepted | KnownJob], timeout_s: float) -> None:
    """Tell a client that its submission took too long, unless it has its answer."""
    if not answer.done():
        answer.set_exception(StoreUnavailable(f"PostgreSQL did not answer within {timeout_s:g} s"))


def answer(answers: Sequence[tuple[Pending, Outcome]]) -> None:
    """Give each client its answer, or its error."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Pair]] = {}
    for pending, outcome in answers:
        by_loop.setdefault(pending.loop, []).append((pending.answer, outcome))
    for loop, pairs in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(_resolve, pairs)


def _resolve(pairs: Sequence[_Pair]) -> None:
    for future, outcome in pairs:
        if future.done():
            continue  # it has an answer, or its client left; an accepted job stays accepted
        if isinstance(outcome, LongrunError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
