"""Result files of jobs: what they are called and where their bytes are."""

from __future__ import annotations

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE job_files (
    -- also the key of its bytes in the store of files
    id uuid PRIMARY KEY,
    -- NULL once the job is deleted, by whatever version or hand: then the keeper deletes the bytes and this row
    job_id uuid REFERENCES jobs (id) ON DELETE SET NULL,
    -- of the run that writes it
    fence bigint NOT NULL,
    name text NOT NULL,
    media_type text NOT NULL,
    size bigint CHECK (size >= 0),
    -- hexadecimal
    sha256 text,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- NULL while it is being written
    stored_at timestamptz,
    -- from when on the keeper may delete it; NULL: with its job
    delete_at timestamptz,
    CONSTRAINT stored_is_whole CHECK ((stored_at IS NULL) = (size IS NULL) AND (stored_at IS NULL) = (sha256 IS NULL))
);
CREATE INDEX job_files_of_job ON job_files (job_id);
CREATE UNIQUE INDEX job_files_by_name ON job_files (job_id, name) WHERE stored_at IS NOT NULL AND delete_at IS NULL;
CREATE INDEX job_files_open ON job_files (id) WHERE stored_at IS NULL AND delete_at IS NULL;
CREATE INDEX job_files_doomed ON job_files (delete_at) WHERE delete_at IS NOT NULL;
CREATE INDEX job_files_without_job ON job_files (id) WHERE job_id IS NULL;
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE job_files")
