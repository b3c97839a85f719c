"""Indexes of jobs with a rate key, and of the permits of concurrency keys, which jobs blocked by a rate limit keep."""

from __future__ import annotations

from jobcore.migrations import indexes

revision = "0032_indexes"
down_revision = "0032"
branch_labels = None
depends_on = None

# The conditions differ in form from those of other indexes, so that the planner cannot take one of them instead.
NEW = {
    "jobs_at_rate": "jobs (rate_key, queue, rank, id)"
    " WHERE CASE WHEN gate = 'key' AND rate_blocked THEN status END = 'PENDING'",
    "jobs_ready_by_rate_key": "jobs (rate_key, queue)"
    " WHERE CASE WHEN rate_key IS NOT NULL AND ready THEN status END = 'PENDING'",
    "jobs_with_permit": "jobs (concurrency_key) WHERE concurrency_key IS NOT NULL AND ("
    "(status = 'PENDING' AND (ready OR gate = 'queue' OR (gate = 'key' AND rate_blocked))) OR status = 'RUNNING'"
    " OR (status = 'CANCELLED' AND cancel_stopped_at IS NULL))",
}
OLD = "jobs_of_key"
OLD_DEFINITION = (
    "jobs (concurrency_key) WHERE concurrency_key IS NOT NULL AND ((status = 'PENDING' AND (ready OR gate = 'queue'))"
    " OR status = 'RUNNING' OR (status = 'CANCELLED' AND cancel_stopped_at IS NULL))"
)


def upgrade() -> None:
    for name, definition in NEW.items():
        indexes.build(name, definition)
    indexes.drop(OLD)


def downgrade() -> None:
    indexes.build(OLD, OLD_DEFINITION)
    for name in NEW:
        indexes.drop(name)
