"""API keys, and the keys with which stream tokens are signed."""

from __future__ import annotations

from alembic import op

revision = "0040"
down_revision = "0038"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE api_keys (
    id text PRIMARY KEY,
    name text NOT NULL,
    -- NULL: the operator's
    owner text,
    scopes text[] NOT NULL,
    -- SHA-256 of the whole key
    secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
    -- whether it came from LONGRUN_BOOTSTRAP_KEY
    bootstrap boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX api_keys_newest ON api_keys (created_at, id);
CREATE INDEX api_keys_of_owner ON api_keys (owner, created_at, id);
CREATE TABLE signing_keys (name text PRIMARY KEY, value bytea NOT NULL CHECK (octet_length(value) = 32));
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE signing_keys; DROP TABLE api_keys")
