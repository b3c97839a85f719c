"""`submit` takes the webhook of a job (ADR 55)."""

from __future__ import annotations

from alembic import op

from jobcore.migrations import functions

revision = "0048_submit"
down_revision = "0048_indexes"
branch_labels = None
depends_on = None

# What POST /tasks accepts, in plain ASCII: whoever delivers parses the URL again, as a browser does.
FUNCTION = r"""
CREATE FUNCTION read_webhook(given jsonb) RETURNS jsonb LANGUAGE plpgsql
SET search_path FROM CURRENT SET standard_conforming_strings = on AS $function$
DECLARE
    hook jsonb := nullif(given -> 'webhook', 'null');
    -- null is a value, and not a right one
    events jsonb := coalesce(hook -> 'events', '["task.success", "task.failed", "task.cancelled"]');
    as_format jsonb := coalesce(hook -> 'format', '"standard"');
    wrong bigint;
    parts text[];
    unknown text;
BEGIN
    IF hook IS NULL THEN
        RETURN NULL;
    ELSIF jsonb_typeof(hook) <> 'object' THEN
        PERFORM refuse('webhook', 'must be a JSON object');
    END IF;
    SELECT min(name) INTO unknown FROM jsonb_object_keys(hook) AS member (name)
    WHERE name NOT IN ('url', 'events', 'format');
    IF unknown IS NOT NULL THEN
        PERFORM refuse('webhook.' || unknown, 'is not a field of a webhook');
    ELSIF jsonb_typeof(hook -> 'url') IS DISTINCT FROM 'string' OR char_length(hook ->> 'url') > 2048 THEN
        PERFORM refuse('webhook.url', 'must be a string of at most 2,048 characters');
    ELSIF jsonb_typeof(events) <> 'array' OR jsonb_array_length(
        CASE WHEN jsonb_typeof(events) = 'array' THEN events ELSE '[]' END) NOT BETWEEN 1 AND 4 THEN
        PERFORM refuse('webhook.events', 'must be an array of 1 to 4 events');
    ELSIF as_format NOT IN ('"standard"', '"cloudevents"') THEN
        PERFORM refuse('webhook.format', 'must be standard or cloudevents');
    END IF;
    SELECT min(number) - 1 INTO wrong FROM jsonb_array_elements(events) WITH ORDINALITY AS each (event, number)
    WHERE event NOT IN ('"task.running"', '"task.success"', '"task.failed"', '"task.cancelled"');
    IF wrong IS NOT NULL THEN
        PERFORM refuse(format('webhook.events[%s]', wrong),
            'must be task.running, task.success, task.failed or task.cancelled');
    END IF;
    parts := regexp_match(hook ->> 'url',
        '^(https?)\://([a-z0-9_.-]+|\[[0-9a-f\:.]+\])(?\:\:([0-9]{1,5}))?(?\:[/?][!-~]*)?$', 'i');
    IF parts IS NULL OR CAST(parts[3] AS integer) NOT BETWEEN 1 AND 65535 THEN
        PERFORM refuse('webhook.url', 'must be an http or https URL in ASCII, without user name, such as '
            'https\://example.com/hook');
    END IF;
    RETURN jsonb_build_object('url', hook -> 'url', 'events', events, 'format', as_format, 'host', concat(
        lower(rtrim(parts[2], '.')), '\:',
        coalesce(parts[3], CASE lower(parts[1]) WHEN 'https' THEN '443' ELSE '80' END)));
END $function$;
"""

CHANGES = {
    "read_submission(text)": {"'owner', 'files')": "'owner', 'files', 'webhook')"},
    "submit(text)": {
        "    job.run_at := read_time(given, 'run_at');\n": "    job.webhook := read_webhook(given);\n"
        "    job.run_at := read_time(given, 'run_at');\n",
        "metadata_exact, rate_key, owner)": "metadata_exact, rate_key, owner, webhook)",
        "job.rate_key, job.owner)": "job.rate_key, job.owner, job.webhook)",
    },
}


def upgrade() -> None:
    op.execute(FUNCTION)
    op.execute("REVOKE ALL ON FUNCTION read_webhook(jsonb) FROM PUBLIC")  # which every role may execute otherwise
    functions.change(CHANGES)


def downgrade() -> None:
    functions.change_back(CHANGES)
    op.execute("DROP FUNCTION read_webhook(jsonb)")
