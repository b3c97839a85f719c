"""Manual retries of ended jobs, retry policies of single jobs, and the results of steps."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002_indexes"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE jobs
    ADD COLUMN retry jsonb,
    -- the value of `attempt` at the last manual retry: tries, crashes and losses count from there
    ADD COLUMN earlier_attempts integer NOT NULL DEFAULT 0,
    -- not valid: existing rows need no check, because all of them have the default
    ADD CONSTRAINT jobs_earlier_attempts_check CHECK (earlier_attempts BETWEEN 0 AND attempt) NOT VALID;

CREATE TABLE job_steps (
    -- no foreign key, as with job_events
    job_id uuid NOT NULL,
    name text NOT NULL,
    attempt integer NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    result jsonb NOT NULL,
    PRIMARY KEY (job_id, name)
);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE job_steps")
    op.execute("ALTER TABLE jobs DROP COLUMN retry, DROP COLUMN earlier_attempts")
