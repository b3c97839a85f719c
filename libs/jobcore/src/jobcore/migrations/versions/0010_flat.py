"""Indexes by which every statement costs the same however long the history is, and queues that can be forgotten."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = """
-- when the keeper first saw that nobody uses it
ALTER TABLE queues ADD COLUMN idle_since timestamptz;
-- no update of a job can be a HOT one but a note of its progress: room in each page was room wasted
ALTER TABLE jobs RESET (fillfactor);
"""

INDEXES = """
-- pages of the history, by type, status or both; by schedule, and with it by type and status
CREATE INDEX jobs_by_type ON jobs (task_type, status, id);
CREATE INDEX jobs_by_schedule_and_type ON jobs (schedule_id, task_type, status, id) WHERE schedule_id IS NOT NULL;
-- what waits for its time. The gate `queue` is one of the version before
CREATE INDEX jobs_delayed ON jobs (queue, priority, run_at)
    WHERE status = 'PENDING' AND NOT ready AND gate IS DISTINCT FROM 'key';
-- what waits at the gate of its key, counted by queue
CREATE INDEX jobs_held ON jobs (queue) WHERE status = 'PENDING' AND gate = 'key';
-- what expires unless it starts before
CREATE INDEX jobs_expiring_unstarted ON jobs (expires_at)
    WHERE status = 'PENDING' AND expires_at IS NOT NULL AND started_at IS NULL;
DROP INDEX jobs_by_task_type, jobs_failed, jobs_cancelled, jobs_by_schedule, jobs_waiting, jobs_due, jobs_at_queue,
    jobs_expiring;
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(INDEXES)


def downgrade() -> None:
    op.execute("""
UPDATE jobs SET gate = NULL WHERE gate = 'queue';
CREATE INDEX jobs_waiting ON jobs (run_at) WHERE status = 'PENDING' AND NOT ready;
CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE status = 'PENDING' AND expires_at IS NOT NULL;
CREATE INDEX jobs_failed ON jobs (id) WHERE status = 'FAILED';
CREATE INDEX jobs_cancelled ON jobs (id) WHERE status = 'CANCELLED';
CREATE INDEX jobs_by_task_type ON jobs (task_type, id);
CREATE INDEX jobs_due ON jobs (run_at) WHERE status = 'PENDING' AND NOT ready AND gate IS NULL;
CREATE INDEX jobs_at_queue ON jobs (queue, rank, id) WHERE status = 'PENDING' AND gate = 'queue';
CREATE INDEX jobs_by_schedule ON jobs (schedule_id, id) WHERE schedule_id IS NOT NULL;
DROP INDEX jobs_by_type, jobs_by_schedule_and_type, jobs_delayed, jobs_held, jobs_expiring_unstarted;
ALTER TABLE jobs SET (fillfactor = 80);
ALTER TABLE queues DROP COLUMN idle_since;
""")
