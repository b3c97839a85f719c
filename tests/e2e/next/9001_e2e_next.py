"""A column more, as a next version might bring it."""

from __future__ import annotations

from alembic import op

revision = "9001"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE jobs ADD COLUMN e2e_next text")


def downgrade() -> None:
    op.execute("ALTER TABLE jobs DROP COLUMN e2e_next")
