"""Stores what many runs of a child have said, in one statement and one commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

from jobcore.store.appends import append
from jobcore.store.database import RowRefused
from jobcore.worker.event_buffer import BATCH_MAX
from jobcore.worker.run_store import RunStore


def flush(call: Callable[..., Any], runs: Iterable[RunStore]) -> list[RunStore]:
    """Store the events in the buffers of these runs, at most a batch of each; returns the runs that have more.

    Those include runs that were busy storing events themselves.

    `call` is `Database.call`. Raises StoreUnavailable; then it can be called again.
    """
    more: list[RunStore] = []
    for some in _portions(runs):
        with ExitStack() as turns:
            free = [run for run in some if run.order.acquire(blocking=False)]
            for run in free:
                turns.callback(run.order.release)
            _store(call, free)
        more += [run for run in some if run not in free or run.buffer.size]
    return more


def _portions(runs: Iterable[RunStore]) -> Iterator[list[RunStore]]:
    some: list[RunStore] = []
    size = 0
    for run in runs:
        if some and size + run.buffer.size > BATCH_MAX:
            yield some
            some, size = [], 0
        some.append(run)
        size += run.buffer.size
    if some:
        yield some


def _store(call: Callable[..., Any], runs: list[RunStore]) -> None:
    batches = {run: batch for run in runs if (batch := run.next_batch()) is not None}
    if not batches:
        return
    try:
        stored = call(append, list(batches.values()))
    except RowRefused:  # one of them: each run finds out by itself which
        for run in batches:
            run.store_now()
        return
    for run, batch in batches.items():
        run.writer.confirmed(batch, stored.get(run.key.id))
