"""Jobs that are submitted with input files: one transaction makes the job and gives it its files."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from jobcore.models import Accepted, IdempotencyKey, NewJobWithFiles
from jobcore.store import idempotency, input_files
from jobcore.store.dedupe_keys import DedupeKeyInUse
from jobcore.store.idempotency import IN_USE, Outcome
from jobcore.store.transactions import transaction

ROUNDS: Final = 5
"""How often a job is given again that meets others with its dedupe key; then its client has to."""


def accept(connection: Connection, job: NewJobWithFiles, key: IdempotencyKey | None, owner: str | None) -> Outcome:
    """Accept a job with its files, but not a second time for its keys: see `idempotency.accept_once`.

    Raises InvalidInput if `owner` cannot give it one of the files. A job that was there before is answered without a
    look at the files, which then stay as they are.
    """
    for _ in range(ROUNDS):
        with transaction(connection):
            outcome = idempotency.accept_once_inside(connection, [(job, key)]).get(job.id)
            if isinstance(outcome, Accepted):
                input_files.give_inside(connection, job.uses, owner)
        if outcome is not None:
            return outcome
    raise DedupeKeyInUse(IN_USE)
