"""Indexes with which the cost of every statement does not depend on the length of the history."""

from __future__ import annotations

from jobcore.migrations import indexes

revision = "0010_indexes"
down_revision = "0010"
branch_labels = None
depends_on = None

PENDING = "WHERE status = 'PENDING'"
NEW = {
    # pages of jobs, by type, status or both; and by schedule, with or without type and status
    "jobs_by_type": "jobs (task_type, status, id)",
    "jobs_by_schedule_and_type": "jobs (schedule_id, task_type, status, id) WHERE schedule_id IS NOT NULL",
    # jobs that wait for their time. Only the version before wrote `queue` into the column `gate`
    "jobs_delayed": f"jobs (queue, priority, run_at) {PENDING} AND NOT ready AND gate IS DISTINCT FROM 'key'",
    # blocked jobs, counted by queue. The planner must not see that `jobs_at_key` has the same rows
    "jobs_held": "jobs (queue) WHERE CASE WHEN gate = 'key' THEN status END = 'PENDING'",
    # jobs that expire unless they start before
    "jobs_expiring_unstarted": f"jobs (expires_at) {PENDING} AND expires_at IS NOT NULL AND started_at IS NULL",
}
OLD = {
    "jobs_waiting": f"jobs (run_at) {PENDING} AND NOT ready",
    "jobs_expiring": f"jobs (expires_at) {PENDING} AND expires_at IS NOT NULL",
    "jobs_failed": "jobs (id) WHERE status = 'FAILED'",
    "jobs_cancelled": "jobs (id) WHERE status = 'CANCELLED'",
    "jobs_by_task_type": "jobs (task_type, id)",
    "jobs_due": f"jobs (run_at) {PENDING} AND NOT ready AND gate IS NULL",
    "jobs_at_queue": f"jobs (queue, rank, id) {PENDING} AND gate = 'queue'",
    "jobs_by_schedule": "jobs (schedule_id, id) WHERE schedule_id IS NOT NULL",
}


def upgrade() -> None:
    _replace(OLD, NEW)


def downgrade() -> None:
    _replace(NEW, OLD)


def _replace(old: dict[str, str], new: dict[str, str]) -> None:
    for name, definition in new.items():
        indexes.build(name, definition)
    for name in old:
        indexes.drop(name)
