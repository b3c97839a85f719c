"""The index by which a claim finds the first job of a task type."""

from __future__ import annotations

from jobcore.migrations import indexes

revision = "0021_indexes"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # the planner must not see that a row of this index is also in `jobs_claim`, or it may read all of that index
    ready = "CASE WHEN ready THEN status END = 'PENDING'"
    indexes.build("jobs_ready_by_type", f"jobs ((ARRAY[queue, task_type]), rank, id) WHERE {ready}")


def downgrade() -> None:
    indexes.drop("jobs_ready_by_type")
