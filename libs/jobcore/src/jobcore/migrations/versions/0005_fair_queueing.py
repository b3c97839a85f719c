"""Fair queueing: the fairness key of each job, and the next turn of each key."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004_indexes"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE jobs ADD COLUMN fairness_key text;

CREATE TABLE fair_turns (
    queue text NOT NULL,
    key text NOT NULL,
    -- the first turn of the latest intake; its statement can read it in no other way
    first_rank timestamptz NOT NULL,
    next_rank timestamptz NOT NULL,
    PRIMARY KEY (queue, key)
    -- no index of next_rank, because every intake of a key would have to write it
) WITH (fillfactor = 50);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE fair_turns")
    op.execute("ALTER TABLE jobs DROP COLUMN fairness_key")
