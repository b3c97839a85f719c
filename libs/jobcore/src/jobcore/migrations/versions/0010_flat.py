"""Queues that can be forgotten, and pages of `jobs` without room that no update can use."""

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


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("""
UPDATE jobs SET gate = NULL WHERE gate = 'queue';
ALTER TABLE jobs SET (fillfactor = 80);
ALTER TABLE queues DROP COLUMN idle_since;
""")
