"""Queues that can be paused and limited, and limits by key: what holds a job back is its gate."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE queues ADD COLUMN paused boolean NOT NULL DEFAULT false,
                   ADD COLUMN max_running integer CHECK (max_running >= 0);
ALTER TABLE jobs ADD COLUMN concurrency_key text,
                 ADD COLUMN gate text CHECK (gate IN ('key', 'queue')),
                 ADD CONSTRAINT gated_is_not_ready CHECK (gate IS NULL OR NOT ready) NOT VALID;
-- a key that is not here lets one job run at a time
CREATE TABLE key_limits (
    key text PRIMARY KEY,
    max_running integer NOT NULL CHECK (max_running >= 0)
);
"""

INDEXES = """
-- what waits for its time: a job at a gate waits for others, and would be looked at each second.
-- jobs_waiting stays for the version before, and for counts
CREATE INDEX jobs_due ON jobs (run_at) WHERE status = 'PENDING' AND NOT ready AND gate IS NULL;
CREATE INDEX jobs_at_key ON jobs (concurrency_key, rank, id) WHERE status = 'PENDING' AND gate = 'key';
CREATE INDEX jobs_at_queue ON jobs (queue, rank, id) WHERE status = 'PENDING' AND gate = 'queue';
-- who holds a place of a key: past its gate and not over, or cancelled and not stopped
CREATE INDEX jobs_of_key ON jobs (concurrency_key) WHERE concurrency_key IS NOT NULL AND (
    (status = 'PENDING' AND (ready OR gate = 'queue')) OR status = 'RUNNING'
    OR (status = 'CANCELLED' AND cancel_stopped_at IS NULL));
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(INDEXES)


def downgrade() -> None:
    op.execute("""
UPDATE jobs SET ready = run_at <= now() WHERE gate IS NOT NULL AND status = 'PENDING';
DROP INDEX jobs_due, jobs_at_key, jobs_at_queue, jobs_of_key;
DROP TABLE key_limits;
ALTER TABLE jobs DROP CONSTRAINT gated_is_not_ready, DROP COLUMN gate, DROP COLUMN concurrency_key;
ALTER TABLE queues DROP COLUMN paused, DROP COLUMN max_running;
""")
