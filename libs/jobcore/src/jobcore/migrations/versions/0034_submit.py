"""`submit`: makes a job in the transaction of the application that calls it (docs/transactions.md)."""

from __future__ import annotations

from alembic import op

revision = "0034_submit"
down_revision = "0034_fields"
branch_labels = None
depends_on = None

# The job is inserted as one that waits for its time, and promotion makes it ready once its transaction is committed. So
# the transaction of the application, however long it is, holds no lock that others wait for, except that of its dedupe
# key. A job that is due at once has a `run_at` that is its `created_at` (store/promotion.py).
SUBMIT = r"""
CREATE FUNCTION submit(submission text) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET jit = off SET standard_conforming_strings = on SET timezone = 'UTC' AS $function$
DECLARE
    given jsonb := read_submission(submission);
    sent json := submission;
    kind task_types;
    job jobs;
    live jobs;
    problem record;
    delay_s double precision := read_number(given, 'delay_s', 0, 366 * 86400);
    backoff_s double precision := read_number(given -> 'retry', 'backoff_s', 0, 7 * 86400, 'retry.');
    backoff_max_s double precision := read_number(given -> 'retry', 'backoff_max_s', 0, 7 * 86400, 'retry.');
    jitter double precision := read_number(given -> 'retry', 'jitter', 0, 1, 'retry.');
BEGIN
    job.created_at := clock_timestamp();
    job.task_type := read_text(given, 'task_type', 200);
    IF job.task_type IS NULL THEN
        PERFORM refuse('task_type', 'is required');
    END IF;
    SELECT * INTO kind FROM task_types WHERE name = job.task_type;
    IF NOT FOUND THEN
        PERFORM refuse('task_type', format('%L is not registered; known task types\: %s', job.task_type, coalesce(
            (SELECT string_agg(name, ', ' ORDER BY name) FROM task_types), 'none, until an API has started')));
    END IF;
    IF jsonb_typeof(given -> 'input') IS DISTINCT FROM 'object' THEN
        PERFORM refuse('input', 'must be a JSON object');
    END IF;
    SELECT * INTO problem FROM input_problem('input', given -> 'input', kind.input_schema, kind.input_schema);
    IF problem.field IS NOT NULL THEN
        PERFORM refuse(problem.field, problem.message);
    END IF;

    job.queue := coalesce(read_text(given, 'queue', 63), kind.queue);
    IF job.queue !~ '^[a-z0-9][a-z0-9_.-]*$' THEN
        PERFORM refuse('queue', 'must have lower-case letters, digits, and _ . - behind the first character');
    END IF;
    job.priority := coalesce(read_whole(given, 'priority', 0, 9), 0);
    job.max_attempts := coalesce(read_whole(given, 'max_attempts', 1, 100), kind.max_attempts);
    job.timeout_s := coalesce(read_number(given, 'timeout_s', 0, 7 * 86400), kind.timeout_s);
    IF job.timeout_s = 0 THEN
        PERFORM refuse('timeout_s', 'must be greater than 0');
    END IF;
    job.concurrency_key := read_text(given, 'concurrency_key', 200);
    job.rate_key := read_text(given, 'rate_key', 200);
    job.fairness_key := read_text(given, 'fairness_key', 200);
    job.dedupe_key := read_text(given, 'dedupe_key', 200);
    job.traceparent := read_text(given, 'traceparent', 55);
    IF job.traceparent !~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' THEN
        PERFORM refuse('traceparent', 'must be a W3C traceparent, such as 00-…-…-01');
    END IF;

    IF jsonb_typeof(given -> 'retry') NOT IN ('object', 'null') THEN
        PERFORM refuse('retry', 'must be a JSON object');
    ELSIF jsonb_typeof(given -> 'retry') = 'object' AND
        (given -> 'retry') - ARRAY['backoff_s', 'backoff_max_s', 'jitter'] <> '{}' THEN
        PERFORM refuse('retry', 'its fields are backoff_s, backoff_max_s and jitter');
    ELSIF coalesce(backoff_s, kind.backoff_s) > coalesce(backoff_max_s, kind.backoff_max_s)
        AND (backoff_s IS NOT NULL OR backoff_max_s IS NOT NULL) THEN
        PERFORM refuse('retry.backoff_s', 'must not exceed retry.backoff_max_s, or that of the task type');
    END IF;
    job.retry := nullif(jsonb_strip_nulls(jsonb_build_object(
        'backoff_s', backoff_s, 'backoff_max_s', backoff_max_s, 'jitter', jitter)), '{}');

    IF jsonb_typeof(given -> 'tags') NOT IN ('array', 'null') OR jsonb_array_length(
        CASE WHEN jsonb_typeof(given -> 'tags') = 'array' THEN given -> 'tags' ELSE '[]' END) > 20 THEN
        PERFORM refuse('tags', 'must be an array of at most 20 strings');
    END IF;
    job.tags := ARRAY(SELECT read_text(jsonb_build_object(format('tags[%s]', number - 1), tag),
                                       format('tags[%s]', number - 1), 64)
                      FROM jsonb_array_elements(coalesce(nullif(given -> 'tags', 'null'), '[]'))
                           WITH ORDINALITY AS listed (tag, number) ORDER BY number);
    IF array_position(job.tags, NULL) IS NOT NULL THEN
        PERFORM refuse('tags', 'must have no null');
    END IF;
    job.metadata := coalesce(nullif(given -> 'metadata', 'null'), '{}');
    IF jsonb_typeof(job.metadata) <> 'object' OR octet_length(CAST(job.metadata AS text)) > 16384 THEN
        PERFORM refuse('metadata', 'must be a JSON object of at most 16,384 bytes');
    END IF;

    job.run_at := read_time(given, 'run_at');
    job.expires_at := read_time(given, 'expires_at');
    IF job.run_at IS NOT NULL AND delay_s IS NOT NULL THEN
        PERFORM refuse('delay_s', 'cannot be given together with run_at\: choose one');
    ELSIF job.run_at NOT BETWEEN job.created_at - interval '366 days' AND job.created_at + interval '366 days' THEN
        PERFORM refuse('run_at', 'must lie within 366 days of now');
    END IF;
    job.run_at := greatest(job.created_at,
                           coalesce(job.run_at, job.created_at + make_interval(secs => coalesce(delay_s, 0))));
    IF job.expires_at <= job.run_at THEN
        PERFORM refuse('expires_at', 'must lie after now and after the earliest start of the task');
    ELSIF job.expires_at > job.created_at + interval '732 days' THEN
        PERFORM refuse('expires_at', 'must lie within 732 days of now');
    END IF;

    job.id := new_job_id(job.created_at);
    LOOP
        INSERT INTO jobs (id, task_type, queue, priority, rank, status, ready, run_at, expires_at, timeout_s, input,
                          max_attempts, tags, metadata, traceparent, concurrency_key, fairness_key, retry, dedupe_key,
                          created_at, input_exact, metadata_exact, rate_key)
        VALUES (job.id, job.task_type, job.queue, job.priority, job.run_at - job.priority * interval '60 s', 'PENDING',
                false, job.run_at, job.expires_at, job.timeout_s, given -> 'input', job.max_attempts, job.tags,
                job.metadata, job.traceparent, job.concurrency_key, job.fairness_key, job.retry, job.dedupe_key,
                job.created_at, exact(sent -> 'input'), exact(sent -> 'metadata'), job.rate_key)
        ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL AND status IN ('PENDING', 'RUNNING') DO NOTHING;
        IF FOUND THEN
            INSERT INTO job_events (job_id, seq, at, attempt, kind, data)
            VALUES (job.id, 1, job.created_at, 0, 'state', '{"status"\: "PENDING"}');
            RETURN jsonb_build_object('task_id', job.id, 'task_type', job.task_type, 'status', 'PENDING',
                                      'created_at', job.created_at, 'deduplicated', false);
        END IF;
        SELECT * INTO live FROM jobs
        WHERE dedupe_key = job.dedupe_key AND dedupe_key IS NOT NULL AND status IN ('PENDING', 'RUNNING');
        IF FOUND THEN
            RETURN jsonb_build_object('task_id', live.id, 'task_type', live.task_type, 'status', live.status,
                                      'created_at', live.created_at, 'deduplicated', true);
        END IF;
        -- that job ended between the two statements
    END LOOP;
END $function$;

CREATE FUNCTION submit(submission jsonb) RETURNS jsonb
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $function$
    SELECT submit(CAST(submission AS text))
$function$;
"""


def upgrade() -> None:
    op.execute(SUBMIT)
    # PostgreSQL lets every role execute a new function
    op.execute("REVOKE ALL ON FUNCTION submit(jsonb), submit(text) FROM PUBLIC")


def downgrade() -> None:
    op.execute("DROP FUNCTION submit(jsonb), submit(text)")
