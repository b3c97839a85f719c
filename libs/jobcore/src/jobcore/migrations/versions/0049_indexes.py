"""The jobs with sealed inputs. Other jobs are not in this index, and cost nothing."""

from __future__ import annotations

from jobcore.migrations import indexes

revision = "0049_indexes"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    indexes.build("jobs_sealed", "jobs (id) WHERE sealed IS NOT NULL")


def downgrade() -> None:
    indexes.drop("jobs_sealed")
