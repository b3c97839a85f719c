"""The lanes of a worker's task types, and how many async and thread jobs one of its children runs at once."""

from __future__ import annotations

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # a worker of an earlier version registers neither: all that it runs is in the process lane
    op.execute("""
    ALTER TABLE workers
        ADD COLUMN jobs_per_child integer NOT NULL DEFAULT 1 CHECK (jobs_per_child >= 1),
        ADD COLUMN lanes text[]
    """)


def downgrade() -> None:
    op.execute("ALTER TABLE workers DROP COLUMN lanes, DROP COLUMN jobs_per_child")
