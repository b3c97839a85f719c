"""A column more, as a next version might bring it."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "9001"
# whatever is the newest of this version
down_revision = max(path.name[:4] for path in Path(__file__).parent.glob("0*.py"))
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE jobs ADD COLUMN e2e_next text")


def downgrade() -> None:
    op.execute("ALTER TABLE jobs DROP COLUMN e2e_next")
