"""Schedules, and the schedule and tick of each job that came from one."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE schedules (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    cron text NOT NULL,
    timezone text NOT NULL,
    overlap text NOT NULL CHECK (overlap IN ('skip', 'allow_all', 'cancel_other')),
    missed_runs text NOT NULL CHECK (missed_runs IN ('skip', 'run_once', 'run_all')),
    max_missed_runs integer NOT NULL CHECK (max_missed_runs >= 1),
    start_deadline_s double precision CHECK (start_deadline_s > 0),
    paused boolean NOT NULL,
    -- `task` is what the owner sent, `job` what each tick submits
    task jsonb NOT NULL,
    job jsonb NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    next_at timestamptz,
    last_at timestamptz,
    runs bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0,
    missed bigint NOT NULL DEFAULT 0,
    error text,
    error_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT paused_waits_for_nothing CHECK (NOT paused OR next_at IS NULL),
    CONSTRAINT an_error_has_a_time CHECK ((error IS NULL) = (error_at IS NULL))
) WITH (fillfactor = 80);

CREATE INDEX schedules_due ON schedules (next_at) WHERE next_at IS NOT NULL;

ALTER TABLE jobs ADD COLUMN schedule_id uuid, ADD COLUMN scheduled_for timestamptz;
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE schedules")
    op.execute("ALTER TABLE jobs DROP COLUMN schedule_id, DROP COLUMN scheduled_for")
