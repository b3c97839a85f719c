"""Webhooks of an owner: events of all its jobs, or of those of a filter, are sent to a URL (ADR 55)."""

from __future__ import annotations

from importlib import import_module

from alembic import op

revision = "0048"
down_revision = "0046_indexes"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE jobs
    -- the webhook to which this job sends an event; NULL: that of the job, or none
    ADD COLUMN delivers_to uuid;
CREATE TABLE webhooks (
    id uuid PRIMARY KEY,
    -- of whose jobs; NULL: of everyone's, for the operator
    owner text,
    url text NOT NULL,
    host text NOT NULL,
    events text[] NOT NULL CHECK (cardinality(events) > 0),
    -- of which jobs: any of these, any of these, and with all of these; empty: of all
    task_types text[] NOT NULL,
    queues text[] NOT NULL,
    tags text[] NOT NULL,
    format text NOT NULL CHECK (format IN ('standard', 'cloudevents')),
    signature text NOT NULL CHECK (signature IN ('v1', 'v1a')),
    -- for v1a, the private key of Ed25519
    secret bytea NOT NULL CHECK (octet_length(secret) = 32),
    secret_created_at timestamptz NOT NULL DEFAULT now(),
    -- the secret before, which also signs until its time is over
    old_secret bytea CHECK (octet_length(old_secret) = 32),
    old_secret_created_at timestamptz,
    old_secret_expires_at timestamptz,
    -- since when no delivery has succeeded
    failing_since timestamptz,
    disabled_at timestamptz,
    disabled_reason text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL))
);
CREATE INDEX webhooks_of_owner ON webhooks (coalesce(owner, ''), id);
CREATE TRIGGER webhooks_audit AFTER INSERT OR DELETE OR UPDATE OF url, events, task_types, queues, tags, format,
    secret_created_at, disabled_at ON webhooks FOR EACH ROW
EXECUTE FUNCTION audit('webhook', 'id',
    '{owner,url,events,task_types,queues,tags,format,signature,secret_created_at,disabled_at,disabled_reason}');
"""

# The job is one that waits for its time, as those of `submit`, so promotion makes it ready once the transaction is
# committed. The body is text from here on: what is signed never changes.
SEND_EVENT = r"""
CREATE FUNCTION send_event(kind text, about uuid, about_seq bigint, data text, trace text, webhook_id uuid,
                           of_owner text, url text, host text, as_format text) RETURNS uuid LANGUAGE plpgsql
SET search_path FROM CURRENT SET timezone = 'UTC' AS $function$
DECLARE
    made_at timestamptz := clock_timestamp();
    delivery_id uuid := new_job_id(made_at);
    body text;
BEGIN
    IF as_format = 'cloudevents' THEN
        body := format('{"specversion"\:"1.0","id"\:"%s","source"\:"%s","type"\:"%s","subject"\:"%s",'
            '"time"\:%s,"datacontenttype"\:"application/json","data"\:%s}', delivery_id,
            CASE WHEN about IS NULL THEN '/webhooks' ELSE '/tasks' END, kind, coalesce(about, webhook_id),
            to_json(now()), data);
    ELSE
        body := format('{"type"\:"%s","timestamp"\:%s,"data"\:%s}', kind, to_json(now()), data);
    END IF;
    INSERT INTO jobs (id, task_type, queue, rank, status, ready, run_at, timeout_s, input, max_attempts, traceparent,
                      concurrency_key, fairness_key, created_at, owner, delivers, delivers_to)
    VALUES (delivery_id, 'longrun.webhook', 'webhooks', made_at, 'PENDING', false, made_at, 60,
            jsonb_strip_nulls(jsonb_build_object('url', url, 'type', kind, 'seq', about_seq, 'body', body,
                'webhook_id', webhook_id, 'format', nullif(as_format, 'standard'))),
            18, trace,
            -- eight deliveries to a host at once, and those of one job one after the other
            concat(of_owner || chr(31), 'webhook ', host, ' ',
                   get_byte(uuid_send(coalesce(about, delivery_id)), 15) % 8),
            of_owner || chr(31), made_at, of_owner, about, webhook_id);
    INSERT INTO job_events (job_id, seq, at, attempt, kind, data)
    VALUES (delivery_id, 1, made_at, 0, 'state', '{"status"\: "PENDING"}');
    RETURN delivery_id;
END $function$;
"""

# Deliveries are jobs too, and nobody is told of them. Bodies have at most 20 KB: tags and names take less than 10,000
# bytes. Numbers are those that the task returned.
TELL_WEBHOOKS = r"""
CREATE FUNCTION tell_webhooks() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT SET timezone = 'UTC' AS $function$
DECLARE
    event text := 'task.' || lower(NEW.status);
    hook record;
    task_result text;
    task_error text;
    task_metadata text;
    omitted text[] := '{}';
    facts text;
BEGIN
    FOR hook IN
        SELECT CAST(NULL AS uuid) AS id, NEW.owner AS owner, NEW.webhook ->> 'url' AS url,
               NEW.webhook ->> 'host' AS host, coalesce(NEW.webhook ->> 'format', 'standard') AS format
        WHERE jsonb_exists(NEW.webhook -> 'events', event)
        UNION ALL
        SELECT webhooks.id, webhooks.owner, webhooks.url, webhooks.host, webhooks.format FROM webhooks
        WHERE coalesce(webhooks.owner, '') = ANY(ARRAY['', coalesce(NEW.owner, '')])
            AND disabled_at IS NULL AND event = ANY(events)
            AND (task_types = '{}' OR NEW.task_type = ANY(task_types))
            AND (queues = '{}' OR NEW.queue = ANY(queues)) AND webhooks.tags <@ NEW.tags
    LOOP
        IF facts IS NULL THEN
            task_result := CASE WHEN NEW.status = 'SUCCESS'
                           THEN coalesce(NEW.result_exact, CAST(NEW.result AS text)) END;
            task_error := CASE WHEN NEW.status = 'FAILED' THEN CAST(NEW.error AS text) END;
            task_metadata := coalesce(NEW.metadata_exact, CAST(NEW.metadata AS text));
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
                'task_id', NEW.id, 'seq', NEW.last_seq, 'status', NEW.status, 'task_type', NEW.task_type,
                'queue', NEW.queue, 'owner', NEW.owner, 'attempt', NEW.attempt, 'tags', NEW.tags,
                'created_at', NEW.created_at, 'started_at', NEW.started_at, 'finished_at', NEW.finished_at,
                'omitted', omitted, 'self', '/tasks/' || NEW.id);
            facts := format('%s,"metadata"\:%s,"result"\:%s,"error"\:%s}', left(facts, -1),
                coalesce(task_metadata, 'null'), coalesce(task_result, 'null'), coalesce(task_error, 'null'));
        END IF;
        PERFORM send_event(event, NEW.id, NEW.last_seq, facts, NEW.traceparent, hook.id, hook.owner, hook.url,
                           hook.host, hook.format);
    END LOOP;
    RETURN NULL;
END $function$;
"""

# The condition is all that a transition to PENDING costs.
TRIGGER = """
DROP TRIGGER deliver_event ON jobs;
DROP FUNCTION deliver_event();
CREATE TRIGGER tell_webhooks AFTER UPDATE OF status ON jobs FOR EACH ROW
WHEN (NEW.status IS DISTINCT FROM OLD.status AND NEW.status <> 'PENDING' AND NEW.task_type <> 'longrun.webhook')
EXECUTE FUNCTION tell_webhooks();
"""

FUNCTIONS = ("send_event(text, uuid, bigint, text, text, uuid, text, text, text, text)", "tell_webhooks()")


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(SEND_EVENT)
    op.execute(TELL_WEBHOOKS)
    for function in FUNCTIONS:
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")  # which every role may execute otherwise
    op.execute(TRIGGER)


def downgrade() -> None:
    op.execute("DROP TRIGGER tell_webhooks ON jobs")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    op.execute(import_module("jobcore.migrations.versions.0046_webhooks").DELIVER)
    op.execute("REVOKE ALL ON FUNCTION deliver_event() FROM PUBLIC")
    op.execute("DROP TABLE webhooks; ALTER TABLE jobs DROP COLUMN delivers_to")
