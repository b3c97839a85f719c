"""The deliveries of a job. Jobs that deliver nothing are not in this index, and cost nothing."""

from __future__ import annotations

from jobcore.migrations import indexes

revision = "0046_indexes"
down_revision = "0046"
branch_labels = None
depends_on = None


def upgrade() -> None:
    indexes.build("jobs_delivering", "jobs (delivers, id) WHERE delivers IS NOT NULL")


def downgrade() -> None:
    indexes.drop("jobs_delivering")
