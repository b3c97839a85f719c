"""Numbers that jsonb alters are also stored as text; inputs that workers refused are counted.

No table is rewritten: each column is nullable or has a constant default.
"""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0010_indexes"
branch_labels = None
depends_on = None

TABLES = """
-- JSON text, where jsonb would alter a number of the column without `_exact` (see store/json_text.py)
ALTER TABLE jobs ADD COLUMN input_exact text,
                 ADD COLUMN metadata_exact text,
                 ADD COLUMN result_exact text,
                 ADD COLUMN progress_exact text,
                 ADD COLUMN checkpoint_exact text,
                 -- how many runs in a row were handed back because their worker could not read the input
                 ADD COLUMN refusals integer NOT NULL DEFAULT 0;
ALTER TABLE job_events ADD COLUMN data_exact text;
ALTER TABLE job_steps ADD COLUMN result_exact text;
ALTER TABLE schedules ADD COLUMN task_exact text,
                      ADD COLUMN job_exact text;
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("""
ALTER TABLE jobs DROP COLUMN input_exact, DROP COLUMN metadata_exact, DROP COLUMN result_exact,
                 DROP COLUMN progress_exact, DROP COLUMN checkpoint_exact, DROP COLUMN refusals;
ALTER TABLE job_events DROP COLUMN data_exact;
ALTER TABLE job_steps DROP COLUMN result_exact;
ALTER TABLE schedules DROP COLUMN task_exact, DROP COLUMN job_exact;
""")
