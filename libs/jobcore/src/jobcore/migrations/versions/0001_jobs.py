"""Jobs, their events, workers, queues and the keeper's lease."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    task_type text NOT NULL,
    queue text NOT NULL,
    priority smallint NOT NULL DEFAULT 0 CHECK (priority BETWEEN 0 AND 9),
    rank timestamptz NOT NULL,
    status text NOT NULL CHECK (status IN ('PENDING', 'RUNNING', 'SUCCESS', 'FAILED', 'CANCELLED')),
    ready boolean NOT NULL,
    run_at timestamptz NOT NULL,
    expires_at timestamptz,
    timeout_s double precision CHECK (timeout_s > 0),
    input jsonb NOT NULL,
    result jsonb,
    error jsonb,
    owner text,
    tags text[] NOT NULL DEFAULT '{}',
    metadata jsonb NOT NULL DEFAULT '{}',
    fence bigint NOT NULL DEFAULT 0 CHECK (fence >= 0),
    attempt integer NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    max_attempts integer NOT NULL CHECK (max_attempts >= 1),
    crashes integer NOT NULL DEFAULT 0 CHECK (crashes >= 0),
    losses integer NOT NULL DEFAULT 0 CHECK (losses >= 0),
    worker_id uuid,
    slot smallint,
    progress jsonb,
    checkpoint jsonb,
    last_seq bigint NOT NULL DEFAULT 1 CHECK (last_seq >= 1),
    cancel_requested_at timestamptz,
    cancel_acknowledged_at timestamptz,
    cancel_stopped_at timestamptz,
    cancel_method text,
    traceparent text,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    CONSTRAINT only_pending_is_ready CHECK (status = 'PENDING' OR NOT ready),
    CONSTRAINT pending_has_no_worker CHECK (status <> 'PENDING' OR (worker_id IS NULL AND slot IS NULL)),
    CONSTRAINT running_has_a_worker CHECK (
        status <> 'RUNNING' OR (worker_id IS NOT NULL AND slot IS NOT NULL AND started_at IS NOT NULL AND fence > 0)
    ),
    CONSTRAINT terminal_is_finished CHECK (
        (status IN ('SUCCESS', 'FAILED', 'CANCELLED')) = (finished_at IS NOT NULL)
    ),
    CONSTRAINT failed_says_why CHECK (status <> 'FAILED' OR error IS NOT NULL),
    CONSTRAINT success_has_no_error CHECK (status <> 'SUCCESS' OR error IS NULL),
    CONSTRAINT cancelled_has_a_receipt CHECK ((status = 'CANCELLED') = (cancel_requested_at IS NOT NULL))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE job_events (
    -- no foreign key: only the statement that locks the row of a job writes its events,
    -- and the check would cost three lookups for each job
    job_id uuid NOT NULL,
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    attempt integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('state', 'log', 'progress', 'checkpoint')),
    data jsonb NOT NULL,
    PRIMARY KEY (job_id, seq)
);

CREATE TABLE workers (
    id uuid PRIMARY KEY,
    host text NOT NULL,
    pid integer NOT NULL,
    queues text[] NOT NULL,
    concurrency integer NOT NULL CHECK (concurrency >= 1),
    version text NOT NULL,
    state text NOT NULL CHECK (state IN ('active', 'draining', 'dead', 'gone')),
    beat bigint NOT NULL DEFAULT 0,
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE queues (
    name text PRIMARY KEY,
    low_rank timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);

CREATE TABLE keeper_lease (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    holder uuid NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);
"""

INDEXES = """
CREATE INDEX jobs_claim ON jobs (queue, rank, id) WHERE status = 'PENDING' AND ready;
CREATE INDEX jobs_waiting ON jobs (run_at) WHERE status = 'PENDING' AND NOT ready;
CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE status = 'PENDING' AND expires_at IS NOT NULL;
CREATE INDEX jobs_running ON jobs (worker_id, slot) WHERE status = 'RUNNING';
CREATE INDEX jobs_stopping ON jobs (worker_id) WHERE status = 'CANCELLED' AND cancel_stopped_at IS NULL;
-- pages of jobs by status, for rare ones; the primary key finds SUCCESS, the indexes above find PENDING and RUNNING
CREATE INDEX jobs_failed ON jobs (id) WHERE status = 'FAILED';
CREATE INDEX jobs_cancelled ON jobs (id) WHERE status = 'CANCELLED';
CREATE INDEX jobs_by_task_type ON jobs (task_type, id);
CREATE INDEX workers_live ON workers (id) WHERE state IN ('active', 'draining');
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(INDEXES)


def downgrade() -> None:
    op.execute("DROP TABLE job_events, jobs, workers, queues, keeper_lease")
