"""How often a job ran in a child that died, when it was not known which of the child's runs ended it."""

from __future__ import annotations

from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # a constant default rewrites no row
    op.execute("ALTER TABLE jobs ADD COLUMN suspected smallint NOT NULL DEFAULT 0")


def downgrade() -> None:
    op.execute("ALTER TABLE jobs DROP COLUMN suspected")
