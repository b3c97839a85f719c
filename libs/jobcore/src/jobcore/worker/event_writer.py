"""Stores the events of one run, in order and each once, whatever becomes of PostgreSQL's replies.

A batch keeps its number until PostgreSQL has confirmed it, so that it is not stored twice if only a reply was lost. If
PostgreSQL refuses a batch, its events are stored one by one, and a log line takes the place of one that it refuses.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from jobcore.errors import InvalidValue
from jobcore.models import Batch, Claim, Event, JsonText, NewEvent
from jobcore.store.appends import Appended, append
from jobcore.store.database import RowRefused
from jobcore.telemetry import logs
from jobcore.worker.event_buffer import refusal_line

NUMBERS: Final = 32
"""The bits of a batch's number that count the events of its run; the fence is above them, so a later run goes on."""

Call = Callable[..., Any]
"""Calls a store function: `Database.call`, or a function that calls that until PostgreSQL is available."""

log = logs.get(__name__)


class EventWriter:
    """The batches of one run that are not stored for sure. Its callers take turns; see `RunStore.order`."""

    def __init__(self, claim: Claim, publish: Callable[[Event], None]) -> None:
        self.lost = False
        """True once the run has lost its claim, so that nothing more is stored."""
        self.refused_output: str | None = None
        """Why PostgreSQL refused a piece of output; None if it has refused none."""
        self._claim = claim
        self._publish = publish
        self._number: int | None = claim.fence << NUMBERS
        """Of the last event; None in a fork, whose numbers would be those of the original process."""
        self._batches: deque[tuple[Batch, float]] = deque()
        """Each with the monotonic time at which the age of its events was right."""

    def in_fork(self) -> None:
        """This process was forked: what is not stored for sure is the original process's to store."""
        self._publish = nowhere
        self._number = None
        self._batches.clear()

    @property
    def next(self) -> Batch | None:
        """The batch that must be stored before any other event of this run."""
        if not self._batches:
            return None
        batch, made_at = self._batches[0]
        age_s = time.monotonic() - made_at
        return replace(batch, events=tuple(replace(event, age_s=event.age_s + age_s) for event in batch.events))

    def add(
        self,
        events: Sequence[NewEvent],
        progress: Mapping[str, Any] | None = None,
        output_bytes: int = 0,
        checkpoint: str | None = None,
    ) -> None:
        """Add a batch; `checkpoint` is JSON text."""
        if self._number is not None:
            self._number += len(events)
        text = None if checkpoint is None else JsonText(checkpoint)
        batch = Batch(self._claim.id, self._claim.fence, self._number, tuple(events), progress, text, output_bytes)
        self._batches.append((batch, time.monotonic()))

    def store(self, call: Call) -> None:
        """Store all batches. Raises what `call` raises, except RowRefused; the batches that are left can be sent again.

        Raises InvalidValue if PostgreSQL refuses a checkpoint.
        """
        while batch := self.next:
            try:
                appended = call(append, [batch])
            except RowRefused as error:
                self._refused(batch, error)
            else:
                self.confirmed(batch, appended.get(self._claim.id))

    def confirmed(self, batch: Batch, appended: Appended | None) -> None:
        """PostgreSQL has stored this batch, the next one; None if the run has lost its claim."""
        if appended is None:
            self.lost = True
            self._batches.clear()
            return
        self._batches.popleft()
        if appended.last_seq is not None:  # else readers find it in PostgreSQL
            first = appended.last_seq - len(batch.events) + 1
            for seq, event in enumerate(batch.events, first):
                at = appended.at - timedelta(seconds=event.age_s)
                self._publish(Event(seq, at, self._claim.attempt, event.kind, event.data))

    def _refused(self, batch: Batch, error: RowRefused) -> None:
        self._batches.popleft()
        now, event = time.monotonic(), batch.events[-1]
        if len(batch.events) > 1:
            self._batches.extendleft((alone, now) for alone in reversed(_one_by_one(batch)))
            return
        if batch.checkpoint is not None:
            raise InvalidValue(
                f"checkpoint: PostgreSQL cannot store it ({error}): pass another value, or store it elsewhere and pass "
                "its address"
            ) from error
        log.warning("cannot store an event", job_id=str(self._claim.id), kind=event.kind, error=str(error))
        if event.kind == "output":
            self.refused_output = str(error)
        if event.data.get("unstorable") is None:
            self._batches.appendleft((replace(batch, events=(refusal_line(event, error),), progress=None), now))


def nowhere(_event: Event) -> None:
    """Publish nothing: readers find the event in PostgreSQL."""


def _one_by_one(batch: Batch) -> list[Batch]:
    """A batch for each event, with the numbers that the batch has taken up; the last one has everything else."""
    earlier = range(1 - len(batch.events), 1)
    numbers = [None if batch.number is None else batch.number + offset for offset in earlier]
    pairs = zip(numbers, batch.events, strict=True)
    alone = [Batch(batch.job_id, batch.fence, number, (event,)) for number, event in pairs]
    return [*alone[:-1], replace(batch, events=batch.events[-1:])]
