"""Inputs with secrets are stored sealed, and only what may be shown of them in `input` (ADR 56)."""

from __future__ import annotations

from alembic import op

from jobcore.migrations import functions

revision = "0049"
down_revision = "0048_submit"
branch_labels = None
depends_on = None

COLUMNS = """
-- the input as it was sent, encrypted: the id of the key, a point, and a Fernet token
ALTER TABLE jobs ADD COLUMN sealed text;
-- whether inputs of this type may have secrets
ALTER TABLE task_types ADD COLUMN has_secrets boolean NOT NULL DEFAULT false;
UPDATE task_types SET has_secrets = true WHERE jsonb_path_exists(input_schema, '$.**.writeOnly ? (@ == true)');
"""

# PostgreSQL has no key, and must not get one.
CHANGES = {
    "submit(text)": {
        "    IF jsonb_typeof(given -> 'input') IS DISTINCT FROM 'object' THEN\n": "    IF kind.has_secrets THEN\n"
        "        PERFORM refuse('task_type', format("
        "'the input of %s has secrets, which PostgreSQL cannot encrypt: submit it with POST /tasks', kind.name));\n"
        "    ELSIF jsonb_typeof(given -> 'input') IS DISTINCT FROM 'object' THEN\n",
    },
}


def upgrade() -> None:
    op.execute(COLUMNS)
    functions.change(CHANGES)


def downgrade() -> None:
    functions.change_back(CHANGES)
    op.execute("ALTER TABLE task_types DROP COLUMN has_secrets")
    op.execute("ALTER TABLE jobs DROP COLUMN sealed")
