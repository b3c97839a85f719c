"""Task types as APIs publish them, and the check of an input against the JSON Schema of its task type."""

from __future__ import annotations

from alembic import op

revision = "0034"
down_revision = "0033_indexes"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE task_types (
    name text PRIMARY KEY,
    queue text NOT NULL,
    max_attempts integer NOT NULL CHECK (max_attempts >= 1),
    timeout_s double precision CHECK (timeout_s > 0),
    backoff_s double precision NOT NULL,
    backoff_max_s double precision NOT NULL,
    input_schema jsonb NOT NULL
);
"""

# It checks the common keywords, and refuses nothing that the model of a task type accepts: for example, Pydantic takes
# a number as a string. What it lets pass, the worker refuses before the run (docs/transactions.md).
CHECK = r"""
CREATE FUNCTION input_problem(path text, value jsonb, shape jsonb, root jsonb, OUT field text, OUT message text)
LANGUAGE plpgsql IMMUTABLE SET search_path FROM CURRENT AS $function$
DECLARE
    kind text := jsonb_typeof(value);
    wanted text := shape ->> 'type';
    part jsonb;
    member record;
    problems integer := 0;
    tried record;
BEGIN
    IF jsonb_typeof(shape) IS DISTINCT FROM 'object' THEN
        RETURN;
    END IF;
    IF shape ? '$ref' THEN
        part := root #> string_to_array(substr(shape ->> '$ref', 3), '/');
        SELECT * INTO field, message FROM input_problem(path, value, part, root);
        RETURN;
    END IF;
    FOR part IN SELECT one FROM jsonb_array_elements(coalesce(shape -> 'allOf', '[]')) AS every (one) LOOP
        SELECT * INTO field, message FROM input_problem(path, value, part, root);
        IF field IS NOT NULL THEN
            RETURN;
        END IF;
    END LOOP;
    FOR part IN
        SELECT one FROM jsonb_array_elements(coalesce(shape -> 'anyOf', shape -> 'oneOf', '[]')) AS any_of (one)
    LOOP
        SELECT * INTO tried FROM input_problem(path, value, part, root);
        IF tried.field IS NULL THEN
            problems := 0;
            EXIT;
        END IF;
        IF problems = 0 OR part ->> 'type' IS DISTINCT FROM 'null' THEN
            field := tried.field;
            message := tried.message;
        END IF;
        problems := problems + 1;
    END LOOP;
    IF problems > 0 THEN
        RETURN;
    END IF;
    field := path;
    message := CASE
        -- numbers and truth values may be given as strings, and times as numbers
        WHEN wanted = 'object' AND kind <> 'object' THEN 'must be an object'
        WHEN wanted = 'array' AND kind <> 'array' THEN 'must be an array'
        WHEN wanted = 'null' AND kind <> 'null' THEN 'must be null'
        WHEN wanted = 'string' AND kind <> 'string' AND NOT (kind = 'number' AND shape ? 'format')
            THEN 'must be a string'
        WHEN wanted = 'integer' AND (kind IN ('object', 'array', 'null')
            OR kind = 'number' AND CAST(value AS numeric) % 1 <> 0
            OR kind = 'string' AND value #>> '{}' !~ '^\s*[-+]?[0-9][0-9_]*(\.0*)?\s*$') THEN 'must be a whole number'
        WHEN wanted = 'number' AND (kind IN ('object', 'array', 'null')
            OR kind = 'string' AND value #>> '{}' !~ '^\s*[-+]?([0-9.]|inf|nan|Inf|NaN)') THEN 'must be a number'
        WHEN wanted = 'boolean' AND kind NOT IN ('boolean', 'number', 'string') THEN 'must be true or false'
        WHEN kind = 'number' AND CAST(value AS numeric) < CAST(shape ->> 'minimum' AS numeric)
            THEN 'must be at least ' || (shape ->> 'minimum')
        WHEN kind = 'number' AND CAST(value AS numeric) <= CAST(shape ->> 'exclusiveMinimum' AS numeric)
            THEN 'must be greater than ' || (shape ->> 'exclusiveMinimum')
        WHEN kind = 'number' AND CAST(value AS numeric) > CAST(shape ->> 'maximum' AS numeric)
            THEN 'must be at most ' || (shape ->> 'maximum')
        WHEN kind = 'number' AND CAST(value AS numeric) >= CAST(shape ->> 'exclusiveMaximum' AS numeric)
            THEN 'must be less than ' || (shape ->> 'exclusiveMaximum')
        WHEN kind = 'string' AND char_length(value #>> '{}') < CAST(shape ->> 'minLength' AS integer)
            THEN format('must have at least %s characters', shape ->> 'minLength')
        WHEN kind = 'string' AND char_length(btrim(value #>> '{}')) > CAST(shape ->> 'maxLength' AS integer)
            THEN format('must have at most %s characters', shape ->> 'maxLength')
        WHEN kind = 'array' AND jsonb_array_length(value) < CAST(shape ->> 'minItems' AS integer)
            THEN format('must have at least %s items', shape ->> 'minItems')
        WHEN kind = 'array' AND NOT shape ? 'uniqueItems'
            AND jsonb_array_length(value) > CAST(shape ->> 'maxItems' AS integer)
            THEN format('must have at most %s items', shape ->> 'maxItems')
        WHEN kind = jsonb_typeof(shape -> 'enum' -> 0) AND NOT (shape -> 'enum') @> value
            THEN 'must be one of ' || (shape ->> 'enum')
        WHEN kind = jsonb_typeof(shape -> 'const') AND shape -> 'const' <> value
            THEN 'must be ' || (shape ->> 'const')
    END;
    IF message IS NOT NULL THEN
        RETURN;
    END IF;
    IF kind = 'object' THEN
        SELECT path || '.' || name, 'is required' INTO field, message
        FROM jsonb_array_elements_text(coalesce(shape -> 'required', '[]')) AS required (name)
        WHERE NOT value ? name LIMIT 1;
        IF message IS NOT NULL THEN
            RETURN;
        END IF;
        FOR member IN SELECT * FROM jsonb_each(value) LOOP
            part := coalesce(shape -> 'properties' -> member.key, shape -> 'additionalProperties');
            IF part = 'false' THEN
                field := path || '.' || left(member.key, 200);
                message := 'is not a field of this input';
            ELSE
                SELECT * INTO field, message FROM input_problem(path || '.' || member.key, member.value, part, root);
            END IF;
            IF message IS NOT NULL THEN
                RETURN;
            END IF;
        END LOOP;
    ELSIF kind = 'array' AND shape ? 'items' THEN
        FOR member IN SELECT * FROM jsonb_array_elements(value) WITH ORDINALITY AS item (one, number) LOOP
            SELECT * INTO field, message
            FROM input_problem(format('%s[%s]', path, member.number - 1), member.one, shape -> 'items', root);
            IF message IS NOT NULL THEN
                RETURN;
            END IF;
        END LOOP;
    END IF;
    field := NULL;
END $function$;
REVOKE ALL ON FUNCTION input_problem FROM PUBLIC;
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute(CHECK)


def downgrade() -> None:
    op.execute("DROP FUNCTION input_problem; DROP TABLE task_types")
