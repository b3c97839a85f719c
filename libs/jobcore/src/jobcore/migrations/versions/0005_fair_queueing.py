"""Fair queueing: which job takes turns as whose, and the next turn of each fairness key."""

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
    -- what the latest intake began with: the statement that writes it has no other way to read it
    first_rank timestamptz NOT NULL,
    next_rank timestamptz NOT NULL,
    PRIMARY KEY (queue, key)
    -- no index of next_rank: every intake of a key would have to write it
) WITH (fillfactor = 50);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE fair_turns")
    op.execute("ALTER TABLE jobs DROP COLUMN fairness_key")
