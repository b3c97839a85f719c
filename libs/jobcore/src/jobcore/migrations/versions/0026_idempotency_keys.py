"""Idempotency keys with the answers to repeat, and the dedupe key of jobs."""

from __future__ import annotations

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE idempotency_keys (
    -- NULL until keys have owners
    owner text,
    key text NOT NULL,
    -- SHA-256 of the method, the path and the canonical body of the request
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- the answer; NULL only inside the transaction that makes it
    status smallint,
    location text,
    body text,
    -- an answer to a submission has no body of its own: it shows this job as it was then
    job_id uuid,
    task_type text,
    job_status text,
    job_created_at timestamptz
);
-- the key comes first: with the owner first, a plan made for an empty table would read all keys of an owner
CREATE UNIQUE INDEX idempotency_keys_by_key ON idempotency_keys (key, (coalesce(owner, '')));
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
ALTER TABLE jobs ADD COLUMN dedupe_key text;
"""


def upgrade() -> None:
    op.execute(TABLE)


def downgrade() -> None:
    op.execute("ALTER TABLE jobs DROP COLUMN dedupe_key; DROP TABLE idempotency_keys")
