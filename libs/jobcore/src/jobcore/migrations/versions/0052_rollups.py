"""What happened to jobs in each minute and each hour, added up by the keeper (ADR 60)."""

from __future__ import annotations

from alembic import op

revision = "0052"
down_revision = "0051_bytes"
branch_labels = None
depends_on = None

# A count changes in place: no index has it, and pages have room for its next version.
ROLLUPS = """
CREATE TABLE rollups (
    span text NOT NULL CHECK (span IN ('minute', 'hour')),
    at timestamptz NOT NULL,
    -- '': of all owners, and of all queues
    owner text NOT NULL,
    queue text NOT NULL,
    what text NOT NULL CHECK (what IN ('submitted', 'succeeded', 'failed', 'cancelled', 'retried', 'wait', 'run')),
    -- of times, the number of their range (see jobcore/models/rollups.py)
    range smallint NOT NULL,
    jobs bigint NOT NULL,
    PRIMARY KEY (span, at, owner, queue, what, range)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE rollup_cursor (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    -- the last event that is counted
    txid xid8 NOT NULL,
    job_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    seq bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO rollup_cursor (txid) VALUES (pg_snapshot_xmin(pg_current_snapshot()));
"""


def upgrade() -> None:
    op.execute(ROLLUPS)


def downgrade() -> None:
    op.execute("DROP TABLE rollup_cursor; DROP TABLE rollups")
