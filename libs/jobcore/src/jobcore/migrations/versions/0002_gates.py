"""Pausing and limiting queues, and limits by concurrency key; the column `gate` holds what blocks a job."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE queues ADD COLUMN paused boolean NOT NULL DEFAULT false,
                   ADD COLUMN max_running integer CHECK (max_running >= 0);
-- not valid: existing rows need no check, because all of them have the defaults
ALTER TABLE jobs ADD COLUMN concurrency_key text,
                 ADD COLUMN gate text,
                 ADD CONSTRAINT jobs_gate_check CHECK (gate IN ('key', 'queue')) NOT VALID,
                 ADD CONSTRAINT gated_is_not_ready CHECK (gate IS NULL OR NOT ready) NOT VALID;
-- a key without a row runs one job at a time
CREATE TABLE key_limits (
    key text PRIMARY KEY,
    max_running integer NOT NULL CHECK (max_running >= 0)
);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("""
UPDATE jobs SET ready = run_at <= now() WHERE gate IS NOT NULL AND status = 'PENDING';
DROP TABLE key_limits;
ALTER TABLE jobs DROP CONSTRAINT gated_is_not_ready, DROP COLUMN gate, DROP COLUMN concurrency_key;
ALTER TABLE queues DROP COLUMN paused, DROP COLUMN max_running;
""")
