"""Sessions of the console that were ended before their time, so that every process refuses them (ADR 61)."""

from __future__ import annotations

from alembic import op

revision = "0053"
down_revision = "0050_names"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE ended_sessions (id uuid PRIMARY KEY, until timestamptz NOT NULL);
CREATE INDEX ended_sessions_until ON ended_sessions (until);
""")


def downgrade() -> None:
    op.execute("DROP TABLE ended_sessions")
