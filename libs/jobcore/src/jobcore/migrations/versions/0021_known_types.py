"""The task types that each worker knows."""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

TABLES = """
-- NULL: a worker of the version before, which claims jobs of any type
ALTER TABLE workers ADD COLUMN task_types text[];
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("ALTER TABLE workers DROP COLUMN task_types")
