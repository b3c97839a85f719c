"""The index of the events of all jobs, in the order of their transactions. Only states and progress are in it."""

from __future__ import annotations

from jobcore.migrations import indexes

revision = "0033_indexes"
down_revision = "0033"
branch_labels = None
depends_on = None

NAME = "job_events_by_transaction"


def upgrade() -> None:
    indexes.build(NAME, "job_events (txid, job_id, seq) WHERE kind IN ('state', 'progress') AND txid IS NOT NULL")


def downgrade() -> None:
    indexes.drop(NAME)
