"""Indexes for the limits of 0002."""

from __future__ import annotations

from jobcore.migrations import indexes

revision = "0002_indexes"
down_revision = "0002"
branch_labels = None
depends_on = None

PENDING = "WHERE status = 'PENDING'"


def upgrade() -> None:
    # jobs that wait for their time, without the blocked ones, which would otherwise be read every second.
    # jobs_waiting stays for the version before, and for counts
    indexes.build("jobs_due", f"jobs (run_at) {PENDING} AND NOT ready AND gate IS NULL")
    indexes.build("jobs_at_key", f"jobs (concurrency_key, rank, id) {PENDING} AND gate = 'key'")
    indexes.build("jobs_at_queue", f"jobs (queue, rank, id) {PENDING} AND gate = 'queue'")
    # jobs that have a permit of their key: ready, running, or cancelled and not stopped
    indexes.build(
        "jobs_of_key",
        """jobs (concurrency_key) WHERE concurrency_key IS NOT NULL AND (
            (status = 'PENDING' AND (ready OR gate = 'queue')) OR status = 'RUNNING'
            OR (status = 'CANCELLED' AND cancel_stopped_at IS NULL))""",
    )


def downgrade() -> None:
    for name in ("jobs_due", "jobs_at_key", "jobs_at_queue", "jobs_of_key"):
        indexes.drop(name)
