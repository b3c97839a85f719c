"""What reads and makes the fields of a submission, for `submit` in the next migration."""

from __future__ import annotations

from alembic import op

revision = "0034_fields"
down_revision = "0034"
branch_labels = None
depends_on = None

READERS = r"""
CREATE FUNCTION refuse(field text, message text) RETURNS void LANGUAGE plpgsql AS $function$
BEGIN
    RAISE EXCEPTION '%: %', left(field, 200), message USING ERRCODE = 'LR422', COLUMN = left(field, 200);
END $function$;

CREATE FUNCTION read_text(given jsonb, name text, longest integer) RETURNS text
LANGUAGE plpgsql SET search_path FROM CURRENT AS $function$
DECLARE
    value text := given ->> name;
BEGIN
    IF jsonb_typeof(given -> name) NOT IN ('string', 'null') THEN
        PERFORM refuse(name, 'must be a string');
    ELSIF char_length(value) NOT BETWEEN 1 AND longest THEN
        PERFORM refuse(name, format('must have 1 to %s characters', longest));
    END IF;
    RETURN value;
END $function$;

CREATE FUNCTION read_number(given jsonb, name text, lowest numeric, highest numeric, path text DEFAULT '')
RETURNS double precision LANGUAGE plpgsql SET search_path FROM CURRENT AS $function$
DECLARE
    value numeric;
BEGIN
    IF jsonb_typeof(given -> name) NOT IN ('number', 'null') THEN
        PERFORM refuse(path || name, 'must be a number');
    END IF;
    value := given ->> name;
    IF value NOT BETWEEN lowest AND highest THEN
        PERFORM refuse(path || name, format('must be %s to %s', lowest, highest));
    END IF;
    RETURN value;
END $function$;

CREATE FUNCTION read_whole(given jsonb, name text, lowest integer, highest integer) RETURNS integer
LANGUAGE plpgsql SET search_path FROM CURRENT AS $function$
DECLARE
    value double precision := read_number(given, name, lowest, highest);
BEGIN
    IF value <> trunc(value) THEN
        PERFORM refuse(name, 'must be a whole number');
    END IF;
    RETURN value;
END $function$;

CREATE FUNCTION read_time(given jsonb, name text) RETURNS timestamptz
LANGUAGE plpgsql SET search_path FROM CURRENT AS $function$
DECLARE
    value text := read_text(given, name, 100);
BEGIN
    IF value !~* '^\d{4}-\d\d-\d\d[t ]\d\d\:\d\d\:\d\d(\.\d+)?(z|[-+]\d\d\:\d\d)$' THEN
        PERFORM refuse(name, 'must be an RFC 3339 time with its offset, such as 2026-11-24T12\:00\:00Z');
    END IF;
    RETURN CAST(value AS timestamptz);
EXCEPTION WHEN data_exception THEN
    PERFORM refuse(name, 'must be a time that exists');
END $function$;

CREATE FUNCTION read_submission(submission text) RETURNS jsonb
LANGUAGE plpgsql SET search_path FROM CURRENT AS $function$
DECLARE
    given jsonb;
    bare text;
    unknown text;
BEGIN
    IF submission IS NULL OR octet_length(submission) > 1048576 THEN
        PERFORM refuse('submission', 'must be a JSON object of at most 1 MiB');
    END IF;
    BEGIN
        given := submission;
    EXCEPTION
        WHEN statement_too_complex THEN PERFORM refuse('submission', 'is nested deeper than 100 levels');
        WHEN data_exception OR program_limit_exceeded THEN PERFORM refuse('submission', SQLERRM);
    END;
    IF jsonb_typeof(given) <> 'object' THEN
        PERFORM refuse('submission', 'must be a JSON object');
    END IF;
    SELECT min(name) INTO unknown FROM jsonb_object_keys(given) AS member (name) WHERE name NOT IN (
        'task_type', 'input', 'queue', 'priority', 'timeout_s', 'max_attempts', 'concurrency_key', 'rate_key',
        'fairness_key', 'retry', 'tags', 'metadata', 'run_at', 'delay_s', 'expires_at', 'dedupe_key', 'traceparent');
    IF unknown IS NOT NULL THEN
        PERFORM refuse(unknown, 'is not a field of a submission');
    END IF;
    bare := regexp_replace(submission, '"(\\.|[^"\\])*"', '', 'g');
    IF strpos(translate(bare, '123456789', '000000000'), repeat('0', 1001)) > 0
        OR bare ~* 'e\+?0*([4-9]\d\d|3[1-9]\d|309|\d{4,})' THEN
        PERFORM refuse('submission', 'a number is too large: it may have 1,000 digits, or be up to ±1.8e308');
    END IF;
    bare := regexp_replace(translate(bare, '{}', '[]'), '[^][]', '', 'g');
    -- one level for the submission itself
    FOR level IN 1 .. 101 LOOP
        EXIT WHEN bare = '';
        bare := replace(bare, '[]', '');
    END LOOP;
    IF bare <> '' THEN
        PERFORM refuse('submission', 'is nested deeper than 100 levels');
    END IF;
    RETURN given;
END $function$;
"""

# UUIDv7 with the microseconds in `rand_a` (RFC 9562, section 5.7 and method 3 of section 6.2), so that the jobs of a
# transaction have ids in the order of their calls
VALUES = r"""
CREATE FUNCTION new_job_id(at timestamptz) RETURNS uuid LANGUAGE sql AS $function$
    SELECT CAST(lpad(to_hex(us / 1000), 12, '0') || '7' || lpad(to_hex(us % 1000 * 4096 / 1000), 3, '0')
                || substr(CAST(gen_random_uuid() AS text), 20) AS uuid)
    FROM (SELECT CAST(extract(epoch FROM at) * 1000000 AS bigint) AS us) AS clock
$function$;

-- the JSON text as given, if jsonb may alter a number in it (docs/adr/0019-values-as-sent.md)
CREATE FUNCTION exact(value json) RETURNS text LANGUAGE sql IMMUTABLE AS $function$
    SELECT CAST(value AS text) WHERE CAST(value AS text) ~ '[0-9][eE][-+0-9]|-0(\.0*)?\s*[],}]'
$function$;
"""

FUNCTIONS = (
    "new_job_id(timestamptz)", "exact(json)", "read_submission(text)", "read_time(jsonb, text)",
    "read_whole(jsonb, text, integer, integer)", "read_number(jsonb, text, numeric, numeric, text)",
    "read_text(jsonb, text, integer)", "refuse(text, text)",
)  # fmt: skip


def upgrade() -> None:
    op.execute(READERS)
    op.execute(VALUES)
    # PostgreSQL lets every role execute a new function
    op.execute(f"REVOKE ALL ON FUNCTION {', '.join(FUNCTIONS)} FROM PUBLIC")


def downgrade() -> None:
    op.execute(f"DROP FUNCTION {', '.join(FUNCTIONS)}")
