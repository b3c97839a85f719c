"""The deliveries of a webhook. Jobs that deliver nothing are not in this index, and cost nothing."""

from __future__ import annotations

from jobcore.migrations import indexes

revision = "0048_indexes"
down_revision = "0048"
branch_labels = None
depends_on = None


def upgrade() -> None:
    indexes.build("jobs_delivering_to", "jobs (delivers_to, id) WHERE delivers_to IS NOT NULL")


def downgrade() -> None:
    indexes.drop("jobs_delivering_to")
