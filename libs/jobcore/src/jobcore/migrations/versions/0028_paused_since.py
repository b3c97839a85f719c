"""Since when a queue is paused."""

from __future__ import annotations

from alembic import op

revision = "0028"
down_revision = "0027_list_indexes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # a process of an earlier version leaves it as it is, so it only counts while the queue is paused
    op.execute("ALTER TABLE queues ADD COLUMN paused_at timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE queues DROP COLUMN paused_at")
