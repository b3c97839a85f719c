"""Idempotency keys: the answer to a request is stored with its effect, in one transaction, and repeated.

Whoever uses a key inserts its row first. A second transaction with the key waits there until the first one ends; then
its own statement, which begins later, sees the row of the first. So of any number of requests with one key, in any
number of processes, one has an effect. A transaction that fails leaves its key free.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy import Connection, CursorResult, Row, text
from sqlalchemy.exc import DBAPIError

from jobcore.errors import LongrunError
from jobcore.models import Accepted, IdempotencyKey, KnownJob, NewJob
from jobcore.states import Status
from jobcore.store import failures, job_rows, json_text
from jobcore.store.dedupe_keys import DedupeKeyInUse, without_duplicates
from jobcore.store.jobs import ACCEPTED, GIVEN, LOCK_INTAKES, accepting
from jobcore.store.prepared import ORDERED, Prepared
from jobcore.store.transactions import DURABLE, transaction

LOCK_S: Final = 1
"""How long a statement waits for another transaction with the same key, in seconds, if nothing else is said."""
WAIT_MS: Final = LOCK_S * 1000
_WAIT: Final = "SET LOCAL lock_timeout = :wait_ms;\n"
ACCEPTED_STATUS: Final = 202
DEDUPLICATED_STATUS: Final = 200
IN_USE: Final = "another request with this key is not answered yet: repeat this one later"
DELETED: Final = "its answer was just deleted: repeat the request"
REUSED: Final = "it was used with another body or path: use a new key for a new request"
OURS: Final = "coalesce(owner, '') = ''"
"""The keys of requests without an owner, as the index has them."""

T = TypeVar("T")
Submission = tuple[NewJob, IdempotencyKey | None]
Outcome = Accepted | KnownJob | LongrunError


class IdempotencyKeyReused(LongrunError):
    """The key was used by a request that asked for something else."""

    status = 422
    slug = "idempotency-key-reused"
    title = "The idempotency key belongs to another request"


class IdempotencyKeyInUse(LongrunError):
    """A request with the same key is not answered yet."""

    status = 409
    slug = "idempotency-key-in-use"
    title = "A request with this idempotency key is in progress"
    retry_after_s = 1


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer to repeat: its HTTP status, Location and body; or, for a submission, the job that it shows."""

    status: int
    location: str | None = None
    body: str | None = None
    job: KnownJob | None = None


CLAIM_KEYS: Final = f"""
INSERT INTO idempotency_keys (key, fingerprint, status, job_id, task_type, job_status, job_created_at, warnings)
SELECT key, decode(fingerprint, 'hex'), {ACCEPTED_STATUS}, job_id, task_type, 'PENDING', now(), warnings
FROM jsonb_to_recordset(CAST(:keys AS jsonb))
    AS sent (key text, fingerprint text, job_id uuid, task_type text, warnings text)
ORDER BY key, job_id ON CONFLICT (key, coalesce(owner, '')) DO NOTHING
"""

STORED: Final = f"""
key AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(CAST(:keys AS jsonb)) AS sent_key (key text, job_id uuid)
), stored AS MATERIALIZED (
    SELECT key, encode(fingerprint, 'hex') AS fingerprint, status, job_id, task_type, job_status, job_created_at,
           warnings
    FROM idempotency_keys WHERE key = ANY(ARRAY(SELECT key FROM key)) AND {OURS}
)"""
"""CTEs: the keys that were sent, and what is stored of them."""

FRESH: Final = f"""
SELECT * FROM ({GIVEN}) AS sent WHERE id NOT IN (SELECT job_id FROM key) OR id IN (SELECT job_id FROM stored)
"""
"""The jobs that were sent, without those whose key has another job."""

NEW: Final = f"""
SELECT {ACCEPTED.columns}, id AS sent_id, NULL AS task_type, NULL AS status, NULL AS fingerprint, false AS deduplicated,
       NULL AS warnings
FROM accepted
"""

REPEATED: Final = f"""
SELECT stored.job_id, NULL, job_created_at, NULL, NULL, NULL, NULL, NULL, key.job_id, task_type, job_status,
       fingerprint, status = {DEDUPLICATED_STATUS}, warnings
FROM key JOIN stored USING (key)
WHERE key.job_id IS DISTINCT FROM stored.job_id
"""
"""What the first request with each key was answered, if this one repeats it."""

# Without dedupe keys, a job is new unless its key has another job.
ACCEPT_KEYED: Final = Prepared(
    "accept_keyed",
    f"WITH {STORED}, given AS MATERIALIZED ({FRESH}), {accepting()} {NEW} UNION ALL {REPEATED}",
    first=(LOCK_INTAKES, CLAIM_KEYS),
    settings=_WAIT,
    jobs="text",
    keys="text",
)

# A job is new unless its key has another job or its dedupe key a live one. A job with the same dedupe key that another
# transaction, or the same batch, makes meanwhile is not in `live`. Then the job is left out of the result, as are those
# that share its key, and the key is free again.
ACCEPT_ONCE: Final = Prepared(
    "accept_once",
    f"""
WITH {STORED}, fresh AS MATERIALIZED ({FRESH}), {without_duplicates("fresh")},
{accepting(or_nothing=True)}, answered AS (
    UPDATE idempotency_keys SET status = {DEDUPLICATED_STATUS}, job_id = live_id, task_type = duplicate.task_type,
        job_status = duplicate.status, job_created_at = duplicate.created_at, warnings = NULL
    FROM duplicate
    WHERE {OURS} AND job_id = sent_id
      AND key = ANY(ARRAY(SELECT key FROM key WHERE job_id IN (SELECT sent_id FROM duplicate)))
), undecided AS MATERIALIZED (
    SELECT id FROM given WHERE id NOT IN (SELECT id FROM accepted)
), freed AS (
    DELETE FROM idempotency_keys
    WHERE {OURS} AND job_id IN (SELECT id FROM undecided)
      AND key = ANY(ARRAY(SELECT key FROM key WHERE job_id IN (SELECT id FROM undecided)))
)
{NEW}
UNION ALL
SELECT live_id, NULL, created_at, NULL, NULL, NULL, NULL, NULL, sent_id, task_type, status, NULL, true, NULL
FROM duplicate
UNION ALL
{REPEATED}
  AND (stored.job_id IS NULL OR stored.job_id NOT IN (SELECT job_id FROM key)
       OR stored.job_id IN (SELECT id FROM accepted))
""",
    first=(LOCK_INTAKES, CLAIM_KEYS),
    settings=_WAIT,
    jobs="text",
    keys="text",
)


_QUEUE: Final = ACCEPTED.columns.split(", ").index("queue")
"""The column that is NULL for a job that was there; to read it by its name would cost ten times as much."""


def accept_once(connection: Connection, given: Sequence[Submission], wait_ms: int = WAIT_MS) -> dict[UUID, Outcome]:
    """Accept jobs in one transaction, but none a second time for its idempotency key or its dedupe key.

    Returns outcomes by the ids of the given jobs: the accepted job, the one that was there, or IdempotencyKeyReused. A
    job without an outcome met another one with its dedupe key that was being made: give it again. Raises
    IdempotencyKeyInUse, or DedupeKeyInUse, if another transaction holds one of the keys for `wait_ms`.
    """
    return _outcomes(_statement(given).execute, connection, given, wait_ms)


def accept_once_inside(connection: Connection, given: Sequence[Submission]) -> dict[UUID, Outcome]:
    """`accept_once` as a part of the transaction of the caller."""
    return _outcomes(_statement(given).inside, connection, given, WAIT_MS)


def _statement(given: Sequence[Submission]) -> Prepared:
    """The shorter one, with which a key costs PostgreSQL a quarter less, unless a job has a dedupe key."""
    return ACCEPT_ONCE if any(job.dedupe_key for job, _ in given) else ACCEPT_KEYED


def _outcomes(
    execute: Callable[[Connection, Mapping[str, Any]], CursorResult[Any]],
    connection: Connection,
    given: Sequence[Submission],
    wait_ms: int,
) -> dict[UUID, Outcome]:
    keys = [
        {
            "key": key.text,
            "fingerprint": key.fingerprint,
            "job_id": job.id,
            "task_type": job.task_type,
            "warnings": key.warnings,
        }
        for job, key in given
        if key
    ]
    parameters = {"jobs": job_rows.rows(job for job, _ in given), "keys": json_text.dumps(keys), "wait_ms": wait_ms}
    try:
        rows = execute(connection, parameters).all()
    except DBAPIError as error:
        if is_in_use(error):
            raise (IdempotencyKeyInUse(IN_USE) if keys else DedupeKeyInUse(IN_USE)) from error
        raise
    outcomes: dict[UUID, Outcome] = {
        job.id: job for job in ACCEPTED.read(row for row in rows if row[_QUEUE] is not None)
    }
    if len(outcomes) < len(rows):
        used = {job.id: key for job, key in given if key}
        known = (row for row in rows if row[_QUEUE] is None)
        outcomes |= {row.sent_id: _known(row, used.get(row.sent_id)) for row in known}
    return outcomes


def _known(row: Row[Any], key: IdempotencyKey | None) -> KnownJob | IdempotencyKeyReused:
    if row.fingerprint is not None and not (key and key.is_of(row.fingerprint)):
        return IdempotencyKeyReused(REUSED)
    status, replayed = Status(row.status), row.fingerprint is not None
    return KnownJob(row.id, row.task_type, status, row.created_at, row.deduplicated, replayed, row.warnings)


def is_in_use(error: DBAPIError) -> bool:
    """Whether another transaction holds a key for longer than the statement waits."""
    return failures.code(error) == failures.LOCK_TIMEOUT


FIND: Final = text(f"""
SELECT encode(fingerprint, 'hex') AS fingerprint, status, location, body, job_id, task_type, job_status, job_created_at,
       warnings
FROM idempotency_keys WHERE key = :key AND {OURS}
""")


def find(connection: Connection, key: IdempotencyKey) -> StoredAnswer | None:
    """The stored answer to the request with this key; None if it has none. Raises IdempotencyKeyReused."""
    row = connection.execute(FIND, {"key": key.text}).first()
    if row is None:
        return None
    if not key.is_of(row.fingerprint):
        raise IdempotencyKeyReused(REUSED)
    if row.job_id is None:
        return StoredAnswer(row.status, row.location, row.body)
    deduplicated = row.status == DEDUPLICATED_STATUS
    shown = row.job_id, row.task_type, Status(row.job_status), row.job_created_at
    return StoredAnswer(row.status, job=KnownJob(*shown, deduplicated, replayed=True, warnings=row.warnings))


IS_USED: Final = text(f"SELECT EXISTS (SELECT FROM idempotency_keys WHERE key = :key AND {OURS})")


def is_used(connection: Connection, key: str) -> bool:
    """Whether a request with this key was answered, whatever it asked for."""
    return bool(connection.execute(IS_USED, {"key": key}).scalar_one())


CLAIM_KEY: Final = text(
    f"""{DURABLE}{_WAIT}
-- a process that freezes in this transaction must not hold its key for long
SET LOCAL idle_in_transaction_session_timeout = '5s';
INSERT INTO idempotency_keys (key, fingerprint) VALUES (:key, decode(:fingerprint, 'hex'))
ON CONFLICT (key, coalesce(owner, '')) DO NOTHING
"""
)

ANSWER: Final = text(f"""
UPDATE idempotency_keys SET status = :status, location = :location, body = :body WHERE key = :key AND {OURS}
""")


def once(
    connection: Connection, key: IdempotencyKey, work: Callable[[Connection], tuple[StoredAnswer, T]]
) -> tuple[StoredAnswer, T | None]:
    """Do the work of a request and store its answer, in one transaction; or find the stored answer, and None.

    What `work` raises leaves the key free. Raises IdempotencyKeyReused, and IdempotencyKeyInUse if another transaction
    holds the key for LOCK_S seconds.
    """
    try:
        claim = {"key": key.text, "fingerprint": key.fingerprint, "wait_ms": WAIT_MS}
        with transaction(connection):
            if connection.execute(CLAIM_KEY, claim).rowcount:
                answer, done = work(connection)
                stored = {"status": answer.status, "location": answer.location, "body": answer.body}
                connection.execute(ANSWER, {"key": key.text, **stored})
                return answer, done
    except DBAPIError as error:
        if is_in_use(error):
            raise IdempotencyKeyInUse(IN_USE) from error
        raise
    if (found := find(connection, key)) is None:
        raise IdempotencyKeyInUse(DELETED)
    return found, None


FORGET: Final = text(
    ORDERED
    + """
DELETE FROM idempotency_keys WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM idempotency_keys WHERE created_at < now() - make_interval(secs => :age_s)
    ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED))
"""
)


def forget(connection: Connection, age_s: float, limit: int = 5000) -> int:
    """Delete up to `limit` keys that were used first `age_s` seconds ago or earlier; returns how many."""
    return connection.execute(FORGET, {"age_s": age_s, "limit": limit}).rowcount
