"""Webhooks: an event of a job that asks for one makes a job that delivers it, in the same transaction (ADR 51)."""

from __future__ import annotations

from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE jobs
    -- where to send which events: url, host (host:port) and events
    ADD COLUMN webhook jsonb,
    -- of which job this one delivers an event
    ADD COLUMN delivers uuid;
CREATE TABLE webhook_secrets (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    -- whose deliveries it signs; NULL: the operator's
    owner text,
    secret bytea NOT NULL CHECK (octet_length(secret) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- NULL: the newest of its owner
    expires_at timestamptz
);
CREATE INDEX webhook_secrets_of_owner ON webhook_secrets (coalesce(owner, ''), created_at);
CREATE UNIQUE INDEX webhook_secrets_newest ON webhook_secrets (coalesce(owner, '')) WHERE expires_at IS NULL;
CREATE TRIGGER webhook_secrets_audit AFTER INSERT OR UPDATE OF expires_at ON webhook_secrets FOR EACH ROW
EXECUTE FUNCTION audit('webhook_secret', 'id', '{owner,expires_at}');
"""

# A trigger, because jobs change their status in a dozen statements, and a thirteenth must not forget the webhook. Its
# condition is all that a job without one costs. The body is text from here on: what is signed never changes, and its
# numbers are those that the task returned. The job is one that waits for its time, as those of `submit`, so promotion
# makes it ready once the transaction is committed. Bodies have at most 20 KB: tags and names take less than 10,000
# bytes.
DELIVER = r"""
CREATE FUNCTION deliver_event() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT SET timezone = 'UTC' AS $function$
DECLARE
    made_at timestamptz := clock_timestamp();
    delivery_id uuid := new_job_id(made_at);
    kind text := 'task.' || lower(NEW.status);
    task_result text := CASE WHEN NEW.status = 'SUCCESS' THEN coalesce(NEW.result_exact, CAST(NEW.result AS text)) END;
    task_error text := CASE WHEN NEW.status = 'FAILED' THEN CAST(NEW.error AS text) END;
    task_metadata text := coalesce(NEW.metadata_exact, CAST(NEW.metadata AS text));
    omitted text[] := '{}';
    facts text;
    whole text;
BEGIN
    IF octet_length(task_result) > 8000 THEN
        task_result := NULL;
        omitted := omitted || 'result'\:\:text;
    END IF;
    IF octet_length(task_error) > 8000 THEN
        task_error := NULL;
        omitted := omitted || 'error'\:\:text;
    END IF;
    IF octet_length(task_metadata) > 2000 THEN
        task_metadata := NULL;
        omitted := omitted || 'metadata'\:\:text;
    END IF;
    facts := json_build_object(
        'task_id', NEW.id, 'seq', NEW.last_seq, 'status', NEW.status, 'task_type', NEW.task_type, 'queue', NEW.queue,
        'owner', NEW.owner, 'attempt', NEW.attempt, 'tags', NEW.tags, 'created_at', NEW.created_at,
        'started_at', NEW.started_at, 'finished_at', NEW.finished_at, 'omitted', omitted,
        'self', '/tasks/' || NEW.id);
    whole := format('{"type"\:"%s","timestamp"\:%s,"data"\:%s,"metadata"\:%s,"result"\:%s,"error"\:%s}}',
        kind, to_json(now()), left(facts, -1), coalesce(task_metadata, 'null'), coalesce(task_result, 'null'),
        coalesce(task_error, 'null'));
    INSERT INTO jobs (id, task_type, queue, rank, status, ready, run_at, timeout_s, input, max_attempts, traceparent,
                      concurrency_key, fairness_key, created_at, owner, delivers)
    VALUES (delivery_id, 'longrun.webhook', 'webhooks', made_at, 'PENDING', false, made_at, 60,
            jsonb_build_object('url', NEW.webhook -> 'url', 'type', kind, 'seq', NEW.last_seq, 'body', whole),
            18, NEW.traceparent,
            -- eight deliveries to a host at once, and those of one task one after the other
            concat(NEW.owner || chr(31), 'webhook ', NEW.webhook ->> 'host', ' ', get_byte(uuid_send(NEW.id), 15) % 8),
            NEW.owner || chr(31), made_at, NEW.owner, NEW.id);
    INSERT INTO job_events (job_id, seq, at, attempt, kind, data)
    VALUES (delivery_id, 1, made_at, 0, 'state', '{"status"\: "PENDING"}');
    RETURN NULL;
END $function$;
CREATE TRIGGER deliver_event AFTER UPDATE OF status ON jobs FOR EACH ROW
WHEN (NEW.webhook IS NOT NULL AND NEW.status IS DISTINCT FROM OLD.status
      AND jsonb_exists(NEW.webhook -> 'events', 'task.' || lower(NEW.status)))
EXECUTE FUNCTION deliver_event();
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(DELIVER)
    op.execute("REVOKE ALL ON FUNCTION deliver_event() FROM PUBLIC")  # which every role may execute otherwise


def downgrade() -> None:
    op.execute("DROP TRIGGER deliver_event ON jobs; DROP FUNCTION deliver_event(); DROP TABLE webhook_secrets;")
    op.execute("ALTER TABLE jobs DROP COLUMN webhook, DROP COLUMN delivers")
