"""Input files: uploaded before a job is submitted, and of that job from then on."""

from __future__ import annotations

from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

# A table of its own: an older version, which serves beside this one during an upgrade, takes every row of `job_files`
# without a job for the file of a deleted job.
TABLES = """
CREATE TABLE input_files (
    -- also the key of its bytes in the store of files
    id uuid PRIMARY KEY,
    -- of whoever uploaded it; NULL: of the operator
    owner text,
    media_type text NOT NULL,
    size bigint CHECK (size >= 0),
    -- hexadecimal
    sha256 text,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- NULL while it is being uploaded
    stored_at timestamptz,
    -- until when a submission may name it, or its upload may last
    expires_at timestamptz NOT NULL,
    -- how its job calls it; NULL until a submission has named it
    name text,
    -- NULL before a submission has named it, and once its job is deleted, by whatever version or hand
    job_id uuid REFERENCES jobs (id) ON DELETE SET NULL,
    -- from when on the keeper may delete it
    delete_at timestamptz,
    CONSTRAINT stored_is_whole CHECK ((stored_at IS NULL) = (size IS NULL) AND (stored_at IS NULL) = (sha256 IS NULL)),
    CONSTRAINT given_is_stored CHECK (name IS NULL OR stored_at IS NOT NULL)
);
CREATE UNIQUE INDEX input_files_of_job ON input_files (job_id, name) WHERE job_id IS NOT NULL;
CREATE INDEX input_files_staged ON input_files (expires_at) WHERE name IS NULL AND delete_at IS NULL;
CREATE INDEX input_files_doomed ON input_files (delete_at) WHERE delete_at IS NOT NULL;
CREATE INDEX input_files_without_job ON input_files (id) WHERE job_id IS NULL AND name IS NOT NULL;
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE input_files")
