"""When the limit of a concurrency key was last used, so that unused limits are forgotten."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021_indexes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE key_limits ADD COLUMN used_at timestamptz NOT NULL DEFAULT now()")


def downgrade() -> None:
    op.execute("ALTER TABLE key_limits DROP COLUMN used_at")
