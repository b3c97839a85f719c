"""Indexes of what belongs to an owner. What has no owner is in none of them, and costs nothing."""

from __future__ import annotations

from jobcore.migrations import indexes

revision = "0041_indexes"
down_revision = "0041"
branch_labels = None
depends_on = None

ENDED = "CASE WHEN finished_at IS NOT NULL THEN owner END"
OF_KEY = "(split_part({0}, chr(31), 1), {1}) WHERE strpos({0}, chr(31)) > 0"
"""A stored key begins with its owner and U+001F (jobcore/models/owned_keys.py)."""

NEW = {
    "jobs_of_owner": "jobs (owner, task_type, status, id) WHERE owner IS NOT NULL",
    "jobs_of_owner_by_finish": f"jobs (({ENDED}), finished_at, id) WHERE {ENDED} IS NOT NULL",
    "key_limits_of_owner": "key_limits " + OF_KEY.format("key", "key"),
    "rate_limits_of_owner": "rate_limits " + OF_KEY.format("key", "key"),
    "schedules_of_owner": "schedules " + OF_KEY.format("name", "id"),
}


def upgrade() -> None:
    for name, definition in NEW.items():
        indexes.build(name, definition)


def downgrade() -> None:
    for name in NEW:
        indexes.drop(name)
