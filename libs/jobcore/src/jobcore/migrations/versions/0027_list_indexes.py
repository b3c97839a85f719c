"""Indexes of ended jobs: by the time of their end, and by queue. A job writes each of them once, when it ends."""

from __future__ import annotations

from jobcore.migrations import indexes

revision = "0027_list_indexes"
down_revision = "0026_indexes"
branch_labels = None
depends_on = None

# The conditions differ in form from those of other statements and of each other, so that the planner cannot take one of
# these indexes where another is meant.
NEW = {
    "jobs_by_finish": "jobs (finished_at, id) WHERE CASE WHEN finished_at IS NOT NULL THEN true END",
    "jobs_ended_by_queue": "jobs (queue, id) WHERE CASE WHEN finished_at IS NOT NULL THEN 'ended' END = 'ended'",
}


def upgrade() -> None:
    for name, definition in NEW.items():
        indexes.build(name, definition)


def downgrade() -> None:
    for name in NEW:
        indexes.drop(name)
