"""Workers say which task types they know, and claims find the first job of a type."""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

TABLES = """
-- NULL: a worker of the version before, which takes jobs of any type
ALTER TABLE workers ADD COLUMN task_types text[];
"""

INDEXES = """
CREATE INDEX jobs_by_type ON jobs ((ARRAY[queue, task_type]), rank, id) WHERE status = 'PENDING' AND ready;
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(INDEXES)


def downgrade() -> None:
    op.execute("DROP INDEX jobs_by_type")
    op.execute("ALTER TABLE workers DROP COLUMN task_types")
