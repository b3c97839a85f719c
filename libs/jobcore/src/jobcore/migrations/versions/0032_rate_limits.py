"""Rate limits: how many jobs of a queue or a rate key may start within a window of time."""

from __future__ import annotations

from alembic import op

revision = "0032"
down_revision = "0028"
branch_labels = None
depends_on = None

BOUNDS = "max_starts >= 1 AND window_s >= 1 AND window_s <= 86400"


def upgrade() -> None:
    op.execute(f"""
        CREATE TABLE rate_limits (
            key text PRIMARY KEY, max_starts integer NOT NULL, window_s double precision NOT NULL,
            used_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT rate_limits_are_bounded CHECK ({BOUNDS})
        );
        CREATE TABLE starts (counted_for text NOT NULL, at timestamptz NOT NULL)
            WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
        CREATE INDEX starts_in_order ON starts (counted_for, at);
        ALTER TABLE queues ADD COLUMN max_starts integer, ADD COLUMN window_s double precision,
            ADD CONSTRAINT queues_rate_limit_check CHECK (
                (max_starts IS NULL) = (window_s IS NULL) AND (max_starts IS NULL OR {BOUNDS})) NOT VALID;
        ALTER TABLE jobs ADD COLUMN rate_key text, ADD COLUMN rate_blocked boolean NOT NULL DEFAULT false
    """)


def downgrade() -> None:
    op.execute("""
        UPDATE jobs SET gate = CASE WHEN concurrency_key IS NOT NULL THEN 'key' END, ready = concurrency_key IS NULL
            WHERE status = 'PENDING' AND gate = 'key' AND rate_blocked;
        ALTER TABLE jobs DROP COLUMN rate_key, DROP COLUMN rate_blocked;
        ALTER TABLE queues DROP CONSTRAINT queues_rate_limit_check, DROP COLUMN max_starts, DROP COLUMN window_s;
        DROP TABLE starts;
        DROP TABLE rate_limits
    """)
