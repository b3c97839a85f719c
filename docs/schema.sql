-- The schema of this version, as pg_dump shows it: migrations make it, and nothing ever runs this file.
-- It is made by `python -m tests.schema_page`; a test compares it with the migrations.

CREATE SCHEMA longrun;

CREATE TABLE longrun.fair_turns (
    queue text NOT NULL,
    key text NOT NULL,
    first_rank timestamp with time zone NOT NULL,
    next_rank timestamp with time zone NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE longrun.idempotency_keys (
    owner text,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    status smallint,
    location text,
    body text,
    job_id uuid,
    task_type text,
    job_status text,
    job_created_at timestamp with time zone,
    CONSTRAINT idempotency_keys_fingerprint_check CHECK ((octet_length(fingerprint) = 32))
);

CREATE TABLE longrun.job_events (
    job_id uuid NOT NULL,
    seq bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    attempt integer NOT NULL,
    kind text NOT NULL,
    data jsonb NOT NULL,
    data_exact text
);

CREATE TABLE longrun.job_files (
    id uuid NOT NULL,
    job_id uuid,
    fence bigint NOT NULL,
    name text NOT NULL,
    media_type text NOT NULL,
    size bigint,
    sha256 text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    stored_at timestamp with time zone,
    delete_at timestamp with time zone,
    CONSTRAINT job_files_size_check CHECK ((size >= 0)),
    CONSTRAINT stored_is_whole CHECK ((((stored_at IS NULL) = (size IS NULL)) AND ((stored_at IS NULL) = (sha256 IS NULL))))
);

CREATE TABLE longrun.job_steps (
    job_id uuid NOT NULL,
    name text NOT NULL,
    attempt integer NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    result jsonb NOT NULL,
    result_exact text
);

CREATE TABLE longrun.jobs (
    id uuid NOT NULL,
    task_type text NOT NULL,
    queue text NOT NULL,
    priority smallint DEFAULT 0 NOT NULL,
    rank timestamp with time zone NOT NULL,
    status text NOT NULL,
    ready boolean NOT NULL,
    run_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    timeout_s double precision,
    input jsonb NOT NULL,
    result jsonb,
    error jsonb,
    owner text,
    tags text[] DEFAULT '{}'::text[] NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    fence bigint DEFAULT 0 NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    max_attempts integer NOT NULL,
    crashes integer DEFAULT 0 NOT NULL,
    losses integer DEFAULT 0 NOT NULL,
    worker_id uuid,
    slot smallint,
    progress jsonb,
    checkpoint jsonb,
    last_seq bigint DEFAULT 1 NOT NULL,
    cancel_requested_at timestamp with time zone,
    cancel_acknowledged_at timestamp with time zone,
    cancel_stopped_at timestamp with time zone,
    cancel_method text,
    traceparent text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    concurrency_key text,
    gate text,
    retry jsonb,
    earlier_attempts integer DEFAULT 0 NOT NULL,
    schedule_id uuid,
    scheduled_for timestamp with time zone,
    fairness_key text,
    input_exact text,
    metadata_exact text,
    result_exact text,
    progress_exact text,
    checkpoint_exact text,
    refusals integer DEFAULT 0 NOT NULL,
    output_bytes bigint DEFAULT 0 NOT NULL,
    last_append bigint DEFAULT 0 NOT NULL,
    dedupe_key text,
    rate_key text,
    rate_blocked boolean DEFAULT false NOT NULL,
    CONSTRAINT cancelled_has_a_receipt CHECK (((status = 'CANCELLED'::text) = (cancel_requested_at IS NOT NULL))),
    CONSTRAINT failed_says_why CHECK (((status <> 'FAILED'::text) OR (error IS NOT NULL))),
    CONSTRAINT jobs_attempt_check CHECK ((attempt >= 0)),
    CONSTRAINT jobs_crashes_check CHECK ((crashes >= 0)),
    CONSTRAINT jobs_fence_check CHECK ((fence >= 0)),
    CONSTRAINT jobs_last_seq_check CHECK ((last_seq >= 1)),
    CONSTRAINT jobs_losses_check CHECK ((losses >= 0)),
    CONSTRAINT jobs_max_attempts_check CHECK ((max_attempts >= 1)),
    CONSTRAINT jobs_priority_check CHECK (((priority >= 0) AND (priority <= 9))),
    CONSTRAINT jobs_status_check CHECK ((status = ANY (ARRAY['PENDING'::text, 'RUNNING'::text, 'SUCCESS'::text, 'FAILED'::text, 'CANCELLED'::text]))),
    CONSTRAINT jobs_timeout_s_check CHECK ((timeout_s > (0)::double precision)),
    CONSTRAINT only_pending_is_ready CHECK (((status = 'PENDING'::text) OR (NOT ready))),
    CONSTRAINT pending_has_no_worker CHECK (((status <> 'PENDING'::text) OR ((worker_id IS NULL) AND (slot IS NULL)))),
    CONSTRAINT running_has_a_worker CHECK (((status <> 'RUNNING'::text) OR ((worker_id IS NOT NULL) AND (slot IS NOT NULL) AND (started_at IS NOT NULL) AND (fence > 0)))),
    CONSTRAINT success_has_no_error CHECK (((status <> 'SUCCESS'::text) OR (error IS NULL))),
    CONSTRAINT terminal_is_finished CHECK (((status = ANY (ARRAY['SUCCESS'::text, 'FAILED'::text, 'CANCELLED'::text])) = (finished_at IS NOT NULL)))
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_cost_delay='0');

CREATE TABLE longrun.keeper_lease (
    only_one boolean DEFAULT true NOT NULL,
    holder uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT keeper_lease_only_one_check CHECK (only_one)
)
WITH (fillfactor='50');

CREATE TABLE longrun.key_limits (
    key text NOT NULL,
    max_running integer NOT NULL,
    used_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT key_limits_max_running_check CHECK ((max_running >= 0))
);

CREATE TABLE longrun.queues (
    name text NOT NULL,
    low_rank timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    paused boolean DEFAULT false NOT NULL,
    max_running integer,
    idle_since timestamp with time zone,
    paused_at timestamp with time zone,
    max_starts integer,
    window_s double precision,
    CONSTRAINT queues_max_running_check CHECK ((max_running >= 0))
)
WITH (fillfactor='50');

CREATE TABLE longrun.rate_limits (
    key text NOT NULL,
    max_starts integer NOT NULL,
    window_s double precision NOT NULL,
    used_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT rate_limits_are_bounded CHECK (((max_starts >= 1) AND (window_s >= (1)::double precision) AND (window_s <= (86400)::double precision)))
);

CREATE TABLE longrun.schedules (
    id uuid NOT NULL,
    name text NOT NULL,
    cron text NOT NULL,
    timezone text NOT NULL,
    overlap text NOT NULL,
    missed_runs text NOT NULL,
    max_missed_runs integer NOT NULL,
    start_deadline_s double precision,
    paused boolean NOT NULL,
    task jsonb NOT NULL,
    job jsonb NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    next_at timestamp with time zone,
    last_at timestamp with time zone,
    runs bigint DEFAULT 0 NOT NULL,
    skipped bigint DEFAULT 0 NOT NULL,
    missed bigint DEFAULT 0 NOT NULL,
    error text,
    error_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    task_exact text,
    job_exact text,
    CONSTRAINT an_error_has_a_time CHECK (((error IS NULL) = (error_at IS NULL))),
    CONSTRAINT paused_waits_for_nothing CHECK (((NOT paused) OR (next_at IS NULL))),
    CONSTRAINT schedules_max_missed_runs_check CHECK ((max_missed_runs >= 1)),
    CONSTRAINT schedules_missed_runs_check CHECK ((missed_runs = ANY (ARRAY['skip'::text, 'run_once'::text, 'run_all'::text]))),
    CONSTRAINT schedules_overlap_check CHECK ((overlap = ANY (ARRAY['skip'::text, 'allow_all'::text, 'cancel_other'::text]))),
    CONSTRAINT schedules_start_deadline_s_check CHECK ((start_deadline_s > (0)::double precision))
)
WITH (fillfactor='80');

CREATE TABLE longrun.starts (
    counted_for text NOT NULL,
    at timestamp with time zone NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_cost_delay='0');

CREATE TABLE longrun.workers (
    id uuid NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    queues text[] NOT NULL,
    concurrency integer NOT NULL,
    version text NOT NULL,
    state text NOT NULL,
    beat bigint DEFAULT 0 NOT NULL,
    heartbeat_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    task_types text[],
    jobs_per_child integer DEFAULT 1 NOT NULL,
    lanes text[],
    CONSTRAINT workers_concurrency_check CHECK ((concurrency >= 1)),
    CONSTRAINT workers_jobs_per_child_check CHECK ((jobs_per_child >= 1)),
    CONSTRAINT workers_state_check CHECK ((state = ANY (ARRAY['active'::text, 'draining'::text, 'dead'::text, 'gone'::text])))
)
WITH (fillfactor='50');

ALTER TABLE ONLY longrun.fair_turns
    ADD CONSTRAINT fair_turns_pkey PRIMARY KEY (queue, key);

ALTER TABLE longrun.jobs
    ADD CONSTRAINT gated_is_not_ready CHECK (((gate IS NULL) OR (NOT ready))) NOT VALID;

ALTER TABLE longrun.job_events
    ADD CONSTRAINT job_events_kind_check CHECK ((kind = ANY (ARRAY['state'::text, 'log'::text, 'progress'::text, 'checkpoint'::text, 'output'::text]))) NOT VALID;

ALTER TABLE ONLY longrun.job_events
    ADD CONSTRAINT job_events_pkey PRIMARY KEY (job_id, seq);

ALTER TABLE ONLY longrun.job_files
    ADD CONSTRAINT job_files_pkey PRIMARY KEY (id);

ALTER TABLE ONLY longrun.job_steps
    ADD CONSTRAINT job_steps_pkey PRIMARY KEY (job_id, name);

ALTER TABLE longrun.jobs
    ADD CONSTRAINT jobs_earlier_attempts_check CHECK (((earlier_attempts >= 0) AND (earlier_attempts <= attempt))) NOT VALID;

ALTER TABLE longrun.jobs
    ADD CONSTRAINT jobs_gate_check CHECK ((gate = ANY (ARRAY['key'::text, 'queue'::text]))) NOT VALID;

ALTER TABLE ONLY longrun.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY longrun.keeper_lease
    ADD CONSTRAINT keeper_lease_pkey PRIMARY KEY (only_one);

ALTER TABLE ONLY longrun.key_limits
    ADD CONSTRAINT key_limits_pkey PRIMARY KEY (key);

ALTER TABLE ONLY longrun.queues
    ADD CONSTRAINT queues_pkey PRIMARY KEY (name);

ALTER TABLE longrun.queues
    ADD CONSTRAINT queues_rate_limit_check CHECK ((((max_starts IS NULL) = (window_s IS NULL)) AND ((max_starts IS NULL) OR ((max_starts >= 1) AND (window_s >= (1)::double precision) AND (window_s <= (86400)::double precision))))) NOT VALID;

ALTER TABLE ONLY longrun.rate_limits
    ADD CONSTRAINT rate_limits_pkey PRIMARY KEY (key);

ALTER TABLE ONLY longrun.schedules
    ADD CONSTRAINT schedules_name_key UNIQUE (name);

ALTER TABLE ONLY longrun.schedules
    ADD CONSTRAINT schedules_pkey PRIMARY KEY (id);

ALTER TABLE ONLY longrun.workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (id);

CREATE INDEX idempotency_keys_by_age ON longrun.idempotency_keys USING btree (created_at);

CREATE UNIQUE INDEX idempotency_keys_by_key ON longrun.idempotency_keys USING btree (key, COALESCE(owner, ''::text));

CREATE UNIQUE INDEX job_files_by_name ON longrun.job_files USING btree (job_id, name) WHERE ((stored_at IS NOT NULL) AND (delete_at IS NULL));

CREATE INDEX job_files_doomed ON longrun.job_files USING btree (delete_at) WHERE (delete_at IS NOT NULL);

CREATE INDEX job_files_of_job ON longrun.job_files USING btree (job_id);

CREATE INDEX job_files_open ON longrun.job_files USING btree (id) WHERE ((stored_at IS NULL) AND (delete_at IS NULL));

CREATE INDEX job_files_without_job ON longrun.job_files USING btree (id) WHERE (job_id IS NULL);

CREATE INDEX jobs_at_key ON longrun.jobs USING btree (concurrency_key, rank, id) WHERE ((status = 'PENDING'::text) AND (gate = 'key'::text));

CREATE INDEX jobs_at_rate ON longrun.jobs USING btree (rate_key, queue, rank, id) WHERE (
CASE
    WHEN ((gate = 'key'::text) AND rate_blocked) THEN status
    ELSE NULL::text
END = 'PENDING'::text);

CREATE INDEX jobs_by_finish ON longrun.jobs USING btree (finished_at, id) WHERE 
CASE
    WHEN (finished_at IS NOT NULL) THEN true
    ELSE NULL::boolean
END;

CREATE INDEX jobs_by_schedule_and_type ON longrun.jobs USING btree (schedule_id, task_type, status, id) WHERE (schedule_id IS NOT NULL);

CREATE INDEX jobs_by_type ON longrun.jobs USING btree (task_type, status, id);

CREATE INDEX jobs_claim ON longrun.jobs USING btree (queue, rank, id) WHERE ((status = 'PENDING'::text) AND ready);

CREATE INDEX jobs_delayed ON longrun.jobs USING btree (queue, priority, run_at) WHERE ((status = 'PENDING'::text) AND (NOT ready) AND (gate IS DISTINCT FROM 'key'::text));

CREATE INDEX jobs_ended_by_queue ON longrun.jobs USING btree (queue, id) WHERE (
CASE
    WHEN (finished_at IS NOT NULL) THEN 'ended'::text
    ELSE NULL::text
END = 'ended'::text);

CREATE INDEX jobs_expiring_unstarted ON longrun.jobs USING btree (expires_at) WHERE ((status = 'PENDING'::text) AND (expires_at IS NOT NULL) AND (started_at IS NULL));

CREATE INDEX jobs_held ON longrun.jobs USING btree (queue) WHERE (
CASE
    WHEN (gate = 'key'::text) THEN status
    ELSE NULL::text
END = 'PENDING'::text);

CREATE UNIQUE INDEX jobs_live_by_dedupe_key ON longrun.jobs USING btree (dedupe_key) WHERE ((dedupe_key IS NOT NULL) AND (status = ANY (ARRAY['PENDING'::text, 'RUNNING'::text])));

CREATE UNIQUE INDEX jobs_one_a_tick ON longrun.jobs USING btree (schedule_id, scheduled_for) WHERE (scheduled_for IS NOT NULL);

CREATE INDEX jobs_open_by_schedule ON longrun.jobs USING btree (schedule_id) WHERE ((schedule_id IS NOT NULL) AND ((status = ANY (ARRAY['PENDING'::text, 'RUNNING'::text])) OR ((status = 'CANCELLED'::text) AND (cancel_stopped_at IS NULL))));

CREATE INDEX jobs_ready_by_rate_key ON longrun.jobs USING btree (rate_key, queue) WHERE (
CASE
    WHEN ((rate_key IS NOT NULL) AND ready) THEN status
    ELSE NULL::text
END = 'PENDING'::text);

CREATE INDEX jobs_ready_by_type ON longrun.jobs USING btree ((ARRAY[queue, task_type]), rank, id) WHERE (
CASE
    WHEN ready THEN status
    ELSE NULL::text
END = 'PENDING'::text);

CREATE INDEX jobs_running ON longrun.jobs USING btree (worker_id, slot) WHERE (status = 'RUNNING'::text);

CREATE INDEX jobs_stopping ON longrun.jobs USING btree (worker_id) WHERE ((status = 'CANCELLED'::text) AND (cancel_stopped_at IS NULL));

CREATE INDEX jobs_with_permit ON longrun.jobs USING btree (concurrency_key) WHERE ((concurrency_key IS NOT NULL) AND (((status = 'PENDING'::text) AND (ready OR (gate = 'queue'::text) OR ((gate = 'key'::text) AND rate_blocked))) OR (status = 'RUNNING'::text) OR ((status = 'CANCELLED'::text) AND (cancel_stopped_at IS NULL))));

CREATE INDEX schedules_due ON longrun.schedules USING btree (next_at) WHERE (next_at IS NOT NULL);

CREATE INDEX starts_in_order ON longrun.starts USING btree (counted_for, at);

CREATE INDEX workers_live ON longrun.workers USING btree (id) WHERE (state = ANY (ARRAY['active'::text, 'draining'::text]));

ALTER TABLE ONLY longrun.job_files
    ADD CONSTRAINT job_files_job_id_fkey FOREIGN KEY (job_id) REFERENCES longrun.jobs(id) ON DELETE SET NULL;
