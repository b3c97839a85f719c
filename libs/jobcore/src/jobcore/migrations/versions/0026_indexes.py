"""At most one live job for each dedupe key."""

from __future__ import annotations

from jobcore.migrations import indexes

revision = "0026_indexes"
down_revision = "0026"
branch_labels = None
depends_on = None

NAME = "jobs_live_by_dedupe_key"


def upgrade() -> None:
    live = "dedupe_key IS NOT NULL AND status IN ('PENDING', 'RUNNING')"
    indexes.build(NAME, f"jobs (dedupe_key) WHERE {live}", unique=True)


def downgrade() -> None:
    indexes.drop(NAME)
