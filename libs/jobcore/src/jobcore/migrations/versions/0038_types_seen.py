"""When a process that knows a published task type was last there; types that nobody knows any more are deleted."""

from __future__ import annotations

from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # now() is evaluated once here, so no row is rewritten; APIs of earlier versions leave it to the default
    op.execute("ALTER TABLE task_types ADD COLUMN seen_at timestamptz NOT NULL DEFAULT now()")


def downgrade() -> None:
    op.execute("ALTER TABLE task_types DROP COLUMN seen_at")
