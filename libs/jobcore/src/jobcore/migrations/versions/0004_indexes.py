"""Indexes by which the schedules of 0004 find their jobs."""

from __future__ import annotations

from jobcore.migrations import indexes

revision = "0004_indexes"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # at most one job for each tick, whatever else goes wrong
    indexes.build("jobs_one_a_tick", "jobs (schedule_id, scheduled_for) WHERE scheduled_for IS NOT NULL", unique=True)
    indexes.build("jobs_by_schedule", "jobs (schedule_id, id) WHERE schedule_id IS NOT NULL")
    indexes.build(
        "jobs_open_by_schedule",
        """jobs (schedule_id) WHERE schedule_id IS NOT NULL
            AND (status IN ('PENDING', 'RUNNING') OR status = 'CANCELLED' AND cancel_stopped_at IS NULL)""",
    )


def downgrade() -> None:
    for name in ("jobs_one_a_tick", "jobs_by_schedule", "jobs_open_by_schedule"):
        indexes.drop(name)
