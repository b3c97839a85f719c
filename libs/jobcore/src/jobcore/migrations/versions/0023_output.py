"""Events of kind `output`, how many bytes of output a job has, and which batch of its events was stored last."""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

KINDS = """
ALTER TABLE job_events DROP CONSTRAINT job_events_kind_check;
-- NOT VALID: the check that it replaces allowed less, so no row has to be read
ALTER TABLE job_events ADD CONSTRAINT job_events_kind_check CHECK (kind IN ({kinds})) NOT VALID;
"""


def upgrade() -> None:
    op.execute(KINDS.format(kinds="'state', 'log', 'progress', 'checkpoint', 'output'"))
    op.execute("""
ALTER TABLE jobs ADD COLUMN output_bytes bigint NOT NULL DEFAULT 0,
                 ADD COLUMN last_append bigint NOT NULL DEFAULT 0
""")


def downgrade() -> None:
    op.execute(KINDS.format(kinds="'state', 'log', 'progress', 'checkpoint'"))
    op.execute("ALTER TABLE jobs DROP COLUMN output_bytes, DROP COLUMN last_append")
