"""Batches of jobs that one request submits: accepted in one transaction, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from jobcore.models import AcceptedAlike, IdempotencyKey, InputFileUse
from jobcore.states import Status
from jobcore.store import failures, input_files, json_text
from jobcore.store.dedupe_keys import DedupeKeyInUse, without_duplicates
from jobcore.store.idempotency import (
    DELETED,
    IN_USE,
    LOCK_S,
    OURS,
    REUSED,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    is_in_use,
)
from jobcore.store.jobs import GIVEN, LOCK_INTAKES, accepting
from jobcore.store.prepared import Prepared
from jobcore.store.rows import Rows
from jobcore.store.transactions import transaction

ROUNDS: Final = 5
"""How often a batch is given again that meets others with its dedupe keys; then its client has to."""
STATUS: Final = 200
ALIKE: Final = Rows(AcceptedAlike)
IN_COMMON: Final = ", ".join(name for name in AcceptedAlike._fields if name != "jobs")
"""What jobs have in common that are one row of the result."""


@dataclass(frozen=True, slots=True)
class JobBatch:
    """Jobs to accept together. At most one of them has a given dedupe key."""

    ids: tuple[UUID, ...]
    rows: str
    """`job_rows.rows` of the jobs: the text, because the jobs themselves take several times as much memory."""
    items: str
    """JSON text of a list that is stored with the idempotency key, and given to whoever repeats the request."""
    files: tuple[InputFileUse, ...] = ()
    """The input files of the jobs."""


@dataclass(frozen=True, slots=True)
class LiveJob:
    """The live job that has the dedupe key of a given one."""

    id: UUID
    task_type: str
    status: Status
    created_at: datetime


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What became of a batch: `live` has, by the ids of given jobs, those that were there; all others were accepted."""

    created_at: datetime | None
    """When the others were accepted; None if there are none."""
    live: Mapping[UUID, LiveJob]
    accepted: tuple[AcceptedAlike, ...] = ()
    """The jobs that this call accepted."""
    items: Sequence[Any] | None = None
    """The values of `items` of the first request with the key, if this one repeats it."""


# The row of a key has the id of this call as its body until the statement replaces it by the answer. So the statement
# knows whose key it is, and accepts nothing if the key is another request's.
CLAIM_KEY: Final = f"""
INSERT INTO idempotency_keys (key, fingerprint, status, body)
SELECT :key, decode(:fingerprint, 'hex'), {STATUS}, :call WHERE :key IS NOT NULL
ON CONFLICT (key, coalesce(owner, '')) DO NOTHING
"""

ACCEPT: Final = Prepared(
    "accept_batch",
    f"""
WITH stored AS MATERIALIZED (
    SELECT encode(fingerprint, 'hex') AS fingerprint, body FROM idempotency_keys WHERE key = :key AND {OURS}
), sent AS MATERIALIZED (
    SELECT * FROM ({GIVEN}) AS sent WHERE :key IS NULL OR EXISTS (SELECT FROM stored WHERE body = :call)
), {without_duplicates("sent")}, {accepting()}, answered AS (
    UPDATE idempotency_keys SET body = CAST(json_build_object(
        'created_at', CASE WHEN EXISTS (SELECT FROM given) THEN now() END,
        'live', (SELECT json_object_agg(sent_id, json_build_array(live_id, task_type, status, created_at))
                 FROM duplicate),
        'items', CAST(:items AS json)) AS text)
    WHERE key = :key AND {OURS} AND body = :call
)
SELECT {IN_COMMON}, count(*) AS jobs, NULL AS sent_id, NULL AS live_id, NULL AS task_type, NULL AS status,
       NULL AS fingerprint, NULL AS body
FROM accepted GROUP BY {IN_COMMON}
UNION ALL
SELECT NULL, created_at, NULL, NULL, NULL, NULL, NULL, NULL, sent_id, live_id, task_type, status, NULL, NULL
FROM duplicate
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, fingerprint, coalesce(body, '')
FROM stored WHERE body IS DISTINCT FROM :call
""",
    first=(LOCK_INTAKES, CLAIM_KEY),
    settings=f"SET LOCAL lock_timeout = '{LOCK_S}s';\n",
    jobs="text",
    key="text",
    fingerprint="text",
    call="text",
    items="text",
)


def accept(
    connection: Connection, batch: JobBatch, key: IdempotencyKey | None = None, owner: str | None = None
) -> BatchOutcome:
    """Accept a batch in one durable transaction, or find what its idempotency key has.

    Raises InvalidInput if `owner` cannot give one of the input files to a job, IdempotencyKeyReused if the key belongs
    to another request, and IdempotencyKeyInUse or DedupeKeyInUse if another transaction holds one of the keys for
    LOCK_S seconds. Whatever is raised, no job is accepted.
    """
    parameters = {
        "jobs": batch.rows,
        "key": key and key.text,
        "fingerprint": key and key.fingerprint,
        "call": str(uuid4()),
        "items": batch.items if key else None,
    }
    for _ in range(ROUNDS):
        try:
            rows = _accept(connection, parameters, batch.files, owner)
        except IntegrityError as error:
            if failures.constraint(error) != "jobs_live_by_dedupe_key":
                raise
            continue  # another request made a job with a dedupe key of this batch meanwhile: now it is found
        except DBAPIError as error:
            if is_in_use(error):
                raise (IdempotencyKeyInUse(IN_USE) if key else DedupeKeyInUse(IN_USE)) from error
            raise
        return _outcome(rows, batch, key)
    raise DedupeKeyInUse(IN_USE)


def _accept(
    connection: Connection, parameters: Mapping[str, Any], files: Sequence[InputFileUse], owner: str | None
) -> Sequence[Row[Any]]:
    if not files:
        return ACCEPT.execute(connection, parameters).all()
    with transaction(connection):
        rows = ACCEPT.inside(connection, parameters).all()
        if rows and rows[0].fingerprint is None:
            there = {row.sent_id for row in rows}
            input_files.give_inside(connection, [use for use in files if use.job_id not in there], owner)
    return rows


def _outcome(rows: Sequence[Row[Any]], batch: JobBatch, key: IdempotencyKey | None) -> BatchOutcome:
    if key and not rows and batch.ids:
        raise IdempotencyKeyInUse(DELETED)
    if rows and rows[0].fingerprint is not None:
        return _repeated(rows[0].fingerprint, rows[0].body, key)
    accepted = ALIKE.read(row for row in rows if row.sent_id is None)
    live = {
        row.sent_id: LiveJob(row.live_id, row.task_type, Status(row.status), row.created_at)
        for row in rows
        if row.sent_id is not None
    }
    return BatchOutcome(accepted[0].created_at if accepted else None, live, tuple(accepted))


def _repeated(fingerprint: str, body: str, key: IdempotencyKey | None) -> BatchOutcome:
    if key is None or not key.is_of(fingerprint):
        raise IdempotencyKeyReused(REUSED)
    stored = json_text.loads(body)
    live = {
        UUID(sent): LiveJob(UUID(identity), task_type, Status(status), datetime.fromisoformat(created_at))
        for sent, (identity, task_type, status, created_at) in (stored["live"] or {}).items()
    }
    at = stored["created_at"]
    return BatchOutcome(at and datetime.fromisoformat(at), live, items=stored["items"])


FIND: Final = text(f"""
SELECT encode(fingerprint, 'hex') AS fingerprint, body FROM idempotency_keys WHERE key = :key AND {OURS}
""")


def find(connection: Connection, key: IdempotencyKey) -> BatchOutcome | None:
    """What the first request with this key was answered; None if there was none. Raises IdempotencyKeyReused."""
    row = connection.execute(FIND, {"key": key.text}).first()
    return None if row is None else _repeated(row.fingerprint, row.body or "", key)
