"""Warnings of the answer that an idempotency key repeats."""

from __future__ import annotations

from alembic import op

revision = "0035"
down_revision = "0034_submit"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # JSON as text, so that a repeated answer has the same bytes
    op.execute("ALTER TABLE idempotency_keys ADD COLUMN warnings text")


def downgrade() -> None:
    op.execute("ALTER TABLE idempotency_keys DROP COLUMN warnings")
