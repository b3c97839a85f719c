"""Forgetting unused queues, and no free space in the pages of `jobs`, which no update can use."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = """
-- when the keeper first saw that nobody uses the queue
ALTER TABLE queues ADD COLUMN idle_since timestamptz;
-- only an update of the progress can be a HOT update, so free space in each page was wasted
ALTER TABLE jobs RESET (fillfactor);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("""
UPDATE jobs SET gate = NULL WHERE gate = 'queue';
ALTER TABLE jobs SET (fillfactor = 80);
ALTER TABLE queues DROP COLUMN idle_since;
""")
