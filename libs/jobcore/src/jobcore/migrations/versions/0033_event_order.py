"""The transaction of each event, which orders the events of all jobs, and how far events have been deleted."""

from __future__ import annotations

from alembic import op

revision = "0033"
down_revision = "0032_indexes"
branch_labels = None
depends_on = None

# The default is set afterwards, so that the rows that exist are not written again: they have no transaction. A process
# of an earlier version fills the column too.
COLUMNS = """
ALTER TABLE job_events ADD COLUMN txid xid8;
ALTER TABLE job_events ALTER COLUMN txid SET DEFAULT pg_current_xact_id();
CREATE TABLE deleted_events (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    -- the latest transaction of which retention has deleted an event
    last_txid xid8 NOT NULL
) WITH (fillfactor = 50);
"""


def upgrade() -> None:
    op.execute(COLUMNS)


def downgrade() -> None:
    op.execute("DROP TABLE deleted_events; ALTER TABLE job_events DROP COLUMN txid")
