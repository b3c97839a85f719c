"""Batches of submissions: one commit for each, and the truth about a commit whose reply was lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from jobcore.errors import LongrunError, QuotaExceeded, StoreUnavailable
from jobcore.store import health, idempotency, jobs
from jobcore.store.database import Database, RowRefused
from jobcore.store.dedupe_keys import DedupeKeyInUse
from jobcore.store.idempotency import (
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    Outcome,
    Submission,
)

ROUNDS: Final = 5
"""How often a job is given again that meets others with its dedupe key; then its client has to."""


def insert(database: Database, given: Sequence[Submission], wait_ms: int = idempotency.WAIT_MS) -> list[Outcome]:
    """Accept jobs, in one commit as a rule; returns their outcomes in the order given.

    A transaction that holds one of their keys is waited for during `wait_ms`.

    If the connection breaks during the commit, the rows are read by id: a job whose row exists is accepted. A request
    with a key that is told StoreUnavailable may be repeated, and will be answered by what its key has.

    Raises a LongrunError if none was accepted; `concerns_one` tells whether others could be.
    """
    outcomes: dict[UUID, Outcome] = {}
    # the locks of owners are taken in the order of the rows, so that two batches never deadlock
    left = sorted(given, key=lambda submission: submission[0].owner or "")
    for _ in range(ROUNDS):
        try:
            outcomes |= _insert(database, left, wait_ms)
        except LongrunError as error:
            if not outcomes:
                raise
            outcomes |= {job.id: error for job, _ in left}
        left = [(job, key) for job, key in left if job.id not in outcomes]
        if not left:
            break
    unknown = StoreUnavailable("whether the task is stored could not be found out in time: try again")
    return [outcomes.get(job.id, unknown) for job, _ in given]


def concerns_one(error: LongrunError) -> bool:
    """Whether a batch failed because of one of its jobs, which the others must not suffer for."""
    return isinstance(error, RowRefused) or is_in_use(error)


def is_in_use(error: object) -> bool:
    """Whether another transaction holds a key of the job."""
    return isinstance(error, IdempotencyKeyInUse | DedupeKeyInUse)


def is_answer(error: LongrunError) -> bool:
    """Whether this outcome of one job says nothing about the database."""
    return concerns_one(error) or isinstance(error, IdempotencyKeyReused | QuotaExceeded)


def _insert(database: Database, given: Sequence[Submission], wait_ms: int) -> dict[UUID, Outcome]:
    try:
        if any(key or job.dedupe_key for job, key in given):
            return database.call(idempotency.accept_once, given, wait_ms)
        return {job.id: job for job in database.call(jobs.insert, [job for job, _ in given])}
    except StoreUnavailable as error:
        return _committed(database, given, error)


def _committed(database: Database, given: Sequence[Submission], failure: StoreUnavailable) -> dict[UUID, Outcome]:
    """What an insert without a reply has committed; raises `failure` if that is nothing, or cannot be found out."""
    try:
        found = database.call(health.committed, [job.id for job, _ in given])
    except StoreUnavailable:
        raise failure from None
    if not found:
        raise failure
    missing = StoreUnavailable("the database became unavailable before it confirmed the commit")
    committed = {job.id: job for job in found}
    return {job.id: committed.get(job.id, missing) for job, _ in given}
