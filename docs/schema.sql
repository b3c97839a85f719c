-- The schema of this version, as pg_dump shows it: migrations make it, and nothing ever runs this file.
-- It is made by `python -m tests.schema_page`; a test compares it with the migrations.

CREATE SCHEMA longrun;

CREATE FUNCTION longrun.audit() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'longrun', 'pg_temp'
    AS $$
DECLARE
    columns text[] := TG_ARGV[2];
    stored jsonb;
    before jsonb;
    after jsonb;
BEGIN
    IF coalesce(current_setting('longrun.act', true), '') = '' THEN
        RETURN NULL;  -- upkeep, and whatever else no caller asked for
    END IF;
    IF TG_OP <> 'INSERT' THEN
        stored := to_jsonb(OLD);
        before := audited_columns(stored, columns);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        stored := to_jsonb(NEW);
        after := audited_columns(stored, columns);
    END IF;
    IF before IS DISTINCT FROM after THEN
        PERFORM write_audit_log(TG_ARGV[0], stored ->> TG_ARGV[1],
            CASE TG_TABLE_NAME WHEN 'schedules' THEN substring(stored ->> 'name' FROM '^(.*)\x1f')
                ELSE stored ->> 'owner' END, before, after);
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION longrun.audited_columns(stored jsonb, columns text[]) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    AS $$
SELECT jsonb_object_agg(key, CASE
    WHEN key = 'task' THEN value - 'input' || jsonb_build_object(
        'input_sha256', encode(sha256(convert_to(coalesce(value ->> 'input', ''), 'UTF8')), 'hex'))
    WHEN key = 'name' THEN to_jsonb(regexp_replace(value #>> '{}', '^.*\x1f', ''))
    ELSE value END)
FROM jsonb_each(stored) WHERE key = ANY(columns)
$$;

CREATE FUNCTION longrun.bytes_of(of_owner text) RETURNS bigint
    LANGUAGE sql STABLE
    SET search_path TO 'longrun', 'pg_temp'
    AS $$
    SELECT coalesce((SELECT bytes FROM owner_uses WHERE owner = of_owner), 0)
           + coalesce((SELECT sum(bytes) FROM owner_use_changes WHERE owner = of_owner), 0)
$$;

CREATE FUNCTION longrun.check_names() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'longrun', 'pg_temp'
    AS $$
DECLARE
    of_owner text := split_part(to_jsonb(NEW) ->> TG_ARGV[0], chr(31), 1);
    most bigint := quota(of_owner, 'names');
    used bigint;
BEGIN
    IF most IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('names ' || of_owner, 0));
        used := names_of(of_owner);
        IF used > most THEN
            RAISE EXCEPTION 'at most % schedules and limits may be kept together, so delete one first', most
                USING ERRCODE = 'LR429',
                DETAIL = json_build_object('owner', of_owner, 'quota', 'names', 'most', most, 'used', used);
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION longrun.check_upload() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'longrun', 'pg_temp'
    AS $$
BEGIN
    PERFORM may_store(NEW.owner);
    RETURN NULL;
END $$;

CREATE FUNCTION longrun.check_use() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'longrun', 'pg_temp'
    AS $$
DECLARE
    most bigint;
    used bigint;
BEGIN
    -- all changes of the transaction are there, so one look is enough
    IF current_setting('longrun.owner_checked', true) = NEW.owner THEN
        RETURN NULL;
    END IF;
    most := quota(NEW.owner, 'queued');
    IF most IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('quota ' || NEW.owner, 0));
        used := queued_of(NEW.owner);
        IF used > most THEN
            RAISE EXCEPTION '% of % tasks would be PENDING: try again once some have started, or cancel some',
                used, most USING ERRCODE = 'LR429',
                DETAIL = json_build_object('owner', NEW.owner, 'quota', 'queued', 'most', most, 'used', used);
        END IF;
    END IF;
    PERFORM set_config('longrun.owner_checked', NEW.owner, true);
    RETURN NULL;
END $$;

CREATE FUNCTION longrun.count_added() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'longrun', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO owner_use_changes (owner, queued, bytes, checked)
    SELECT owner, count(*), coalesce(sum(counted_bytes), 0), true FROM added
    WHERE owner IS NOT NULL AND delivers IS NULL AND status = 'PENDING'
    GROUP BY owner HAVING may_store(owner)
    ORDER BY owner;  -- the order in which the checks take their locks
    RETURN NULL;
END $$;

CREATE FUNCTION longrun.count_deleted() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'longrun', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO owner_use_changes (owner, queued, bytes)
    SELECT owner, -count(*) FILTER (WHERE status = 'PENDING'), -coalesce(sum(counted_bytes), 0) FROM deleted
    WHERE owner IS NOT NULL AND delivers IS NULL GROUP BY owner;
    RETURN NULL;
END $$;

CREATE FUNCTION longrun.count_file() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'longrun', 'pg_temp'
    AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO owner_use_changes (owner, queued, bytes) VALUES (OLD.owner, 0, -OLD.size);
    ELSE
        INSERT INTO owner_use_changes (owner, queued, bytes)
        VALUES (NEW.owner, 0, NEW.size - coalesce(OLD.size, 0));
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION longrun.count_moved() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'longrun', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO owner_use_changes (owner, queued, bytes, checked) VALUES (
        NEW.owner, CAST(NEW.status = 'PENDING' AS integer) - CAST(OLD.status = 'PENDING' AS integer),
        coalesce(NEW.counted_bytes - OLD.counted_bytes, 0),
        NEW.status = 'PENDING' AND OLD.status IN ('FAILED', 'CANCELLED'));
    RETURN NULL;
END $$;

CREATE FUNCTION longrun.exact(value json) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CAST(value AS text) WHERE CAST(value AS text) ~ '[0-9][eE][-+0-9]|-0(\.0*)?\s*[],}]'
$$;

CREATE FUNCTION longrun.give_files(given jsonb, new_job uuid, of_owner text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'longrun', 'pg_temp'
    SET standard_conforming_strings TO 'on'
    AS $_$
DECLARE
    files jsonb := coalesce(nullif(given -> 'files', 'null'), '{}');
    ids uuid[] := '{}';
    use record;
BEGIN
    IF jsonb_typeof(files) <> 'object' THEN
        PERFORM refuse('files', 'must be a JSON object');
    ELSIF (SELECT count(*) FROM jsonb_object_keys(files)) > 100 THEN
        PERFORM refuse('files', 'must have at most 100 files');
    END IF;
    FOR use IN SELECT key AS called, value AS file FROM jsonb_each(files) LOOP
        IF char_length(use.called) NOT BETWEEN 1 AND 200 OR octet_length(use.called) > 255 THEN
            PERFORM refuse('files.' || use.called, 'the name must have 1 to 200 characters, at most 255 bytes');
        ELSIF use.called IN ('.', '..') OR use.called ~ '[/\\]' THEN
            PERFORM refuse('files.' || use.called, 'the name must not be a path: leave out the folders');
        ELSIF use.called ~ '[\u0001-\u001f\u007f-\u009f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891\u08e2\u180e\u200b\u200e-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]' THEN
            PERFORM refuse('files.' || use.called, 'the name must not contain characters that are not seen');
        ELSIF use.called ~ '^[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]|[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]$' THEN
            PERFORM refuse('files.' || use.called, 'the name must not begin or end with a space');
        END IF;
        BEGIN
            ids := ids || CAST(coalesce(use.file #>> '{}', '') AS uuid);
        EXCEPTION WHEN data_exception THEN
            PERFORM refuse('files.' || use.called, 'must be the file_id of an uploaded file');
        END;
    END LOOP;
    IF (SELECT count(DISTINCT id) FROM unnest(ids) AS id) < cardinality(ids) THEN
        PERFORM refuse('files', 'has one file twice: upload it once for each name');
    END IF;
    FOR use IN SELECT key AS called, CAST(value #>> '{}' AS uuid) AS file FROM jsonb_each(files) ORDER BY file LOOP
        UPDATE input_files SET job_id = new_job, name = use.called
        WHERE id = use.file AND name IS NULL AND stored_at IS NOT NULL AND delete_at IS NULL
            AND expires_at > clock_timestamp() AND (owner IS NULL OR of_owner IS NULL OR owner = of_owner);
        IF NOT FOUND THEN
            PERFORM refuse('files.' || use.called, format(
                'no file with the id %s waits for a submission: it was never uploaded as a whole, another task has '
                'it, or it has expired; upload it again with POST /files', use.file));
        END IF;
    END LOOP;
END $_$;

CREATE FUNCTION longrun.input_problem(path text, value jsonb, shape jsonb, root jsonb, OUT field text, OUT message text) RETURNS record
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'longrun', 'pg_temp'
    AS $_$
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
END $_$;

CREATE FUNCTION longrun.may_store(of_owner text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'longrun', 'pg_temp'
    AS $$
DECLARE
    most bigint := quota(of_owner, 'stored_bytes');
    used bigint;
BEGIN
    IF most IS NOT NULL THEN
        used := bytes_of(of_owner);
        IF used >= most THEN
            RAISE EXCEPTION '% of % bytes are stored: try again once ended tasks or uploaded files are deleted',
                used, most USING ERRCODE = 'LR429',
                DETAIL = json_build_object('owner', of_owner, 'quota', 'stored_bytes', 'most', most, 'used', used);
        END IF;
    END IF;
    RETURN true;
END $$;

CREATE FUNCTION longrun.names_of(of_owner text) RETURNS bigint
    LANGUAGE sql STABLE
    SET search_path TO 'longrun', 'pg_temp'
    AS $$
    SELECT (SELECT count(*) FROM schedules WHERE strpos(name, chr(31)) > 0 AND split_part(name, chr(31), 1) = of_owner)
           + (SELECT count(*) FROM key_limits WHERE strpos(key, chr(31)) > 0 AND split_part(key, chr(31), 1) = of_owner)
           + (SELECT count(*) FROM rate_limits WHERE strpos(key, chr(31)) > 0 AND split_part(key, chr(31), 1) = of_owner)
$$;

CREATE FUNCTION longrun.new_job_id(at timestamp with time zone) RETURNS uuid
    LANGUAGE sql
    AS $$
    SELECT CAST(lpad(to_hex(us / 1000), 12, '0') || '7' || lpad(to_hex(us % 1000 * 4096 / 1000), 3, '0')
                || substr(CAST(gen_random_uuid() AS text), 20) AS uuid)
    FROM (SELECT CAST(extract(epoch FROM at) * 1000000 AS bigint) AS us) AS clock
$$;

CREATE FUNCTION longrun.queued_of(of_owner text) RETURNS bigint
    LANGUAGE sql STABLE
    SET search_path TO 'longrun', 'pg_temp'
    AS $$
    SELECT coalesce((SELECT queued FROM owner_uses WHERE owner = of_owner), 0)
           + coalesce((SELECT sum(queued) FROM owner_use_changes WHERE owner = of_owner), 0)
$$;

CREATE FUNCTION longrun.quota(of_owner text, name text) RETURNS bigint
    LANGUAGE sql STABLE
    SET search_path TO 'longrun', 'pg_temp'
    AS $$
    SELECT CAST(coalesce((SELECT amounts FROM default_quotas), '{}')
                || coalesce((SELECT amounts FROM quotas WHERE owner = of_owner), '{}') ->> name AS bigint)
$$;

CREATE FUNCTION longrun.read_number(given jsonb, name text, lowest numeric, highest numeric, path text DEFAULT ''::text) RETURNS double precision
    LANGUAGE plpgsql
    SET search_path TO 'longrun', 'pg_temp'
    AS $$
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
END $$;

CREATE FUNCTION longrun.read_submission(submission text) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'longrun', 'pg_temp'
    AS $$
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
        'fairness_key', 'retry', 'tags', 'metadata', 'run_at', 'delay_s', 'expires_at', 'dedupe_key', 'traceparent', 'owner', 'files', 'webhook');
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
END $$;

CREATE FUNCTION longrun.read_text(given jsonb, name text, longest integer) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'longrun', 'pg_temp'
    AS $$
DECLARE
    value text := given ->> name;
BEGIN
    IF jsonb_typeof(given -> name) NOT IN ('string', 'null') THEN
        PERFORM refuse(name, 'must be a string');
    ELSIF char_length(value) NOT BETWEEN 1 AND longest THEN
        PERFORM refuse(name, format('must have 1 to %s characters', longest));
    END IF;
    RETURN value;
END $$;

CREATE FUNCTION longrun.read_time(given jsonb, name text) RETURNS timestamp with time zone
    LANGUAGE plpgsql
    SET search_path TO 'longrun', 'pg_temp'
    AS $_$
DECLARE
    value text := read_text(given, name, 100);
BEGIN
    IF value !~* '^\d{4}-\d\d-\d\d[t ]\d\d:\d\d:\d\d(\.\d+)?(z|[-+]\d\d:\d\d)$' THEN
        PERFORM refuse(name, 'must be an RFC 3339 time with its offset, such as 2026-11-24T12:00:00Z');
    END IF;
    RETURN CAST(value AS timestamptz);
EXCEPTION WHEN data_exception THEN
    PERFORM refuse(name, 'must be a time that exists');
END $_$;

CREATE FUNCTION longrun.read_webhook(given jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'longrun', 'pg_temp'
    SET standard_conforming_strings TO 'on'
    AS $_$
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
        '^(https?)://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?(?:[/?][!-~]*)?$', 'i');
    IF parts IS NULL OR CAST(parts[3] AS integer) NOT BETWEEN 1 AND 65535 THEN
        PERFORM refuse('webhook.url', 'must be an http or https URL in ASCII, without user name, such as '
            'https://example.com/hook');
    END IF;
    RETURN jsonb_build_object('url', hook -> 'url', 'events', events, 'format', as_format, 'host', concat(
        lower(rtrim(parts[2], '.')), ':',
        coalesce(parts[3], CASE lower(parts[1]) WHEN 'https' THEN '443' ELSE '80' END)));
END $_$;

CREATE FUNCTION longrun.read_whole(given jsonb, name text, lowest integer, highest integer) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'longrun', 'pg_temp'
    AS $$
DECLARE
    value double precision := read_number(given, name, lowest, highest);
BEGIN
    IF value <> trunc(value) THEN
        PERFORM refuse(name, 'must be a whole number');
    END IF;
    RETURN value;
END $$;

CREATE FUNCTION longrun.refuse(field text, message text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION '%: %', left(field, 200), message USING ERRCODE = 'LR422', COLUMN = left(field, 200);
END $$;

CREATE FUNCTION longrun.refuse_to_change_audit_log() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'the audit log only grows: its entries can be deleted after 7 days, and never changed'
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE FUNCTION longrun.send_event(kind text, about uuid, about_seq bigint, data text, trace text, webhook_id uuid, of_owner text, url text, host text, as_format text) RETURNS uuid
    LANGUAGE plpgsql
    SET search_path TO 'longrun', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    AS $$
DECLARE
    made_at timestamptz := clock_timestamp();
    delivery_id uuid := new_job_id(made_at);
    body text;
BEGIN
    IF as_format = 'cloudevents' THEN
        body := format('{"specversion":"1.0","id":"%s","source":"%s","type":"%s","subject":"%s",'
            '"time":%s,"datacontenttype":"application/json","data":%s}', delivery_id,
            CASE WHEN about IS NULL THEN '/webhooks' ELSE '/tasks' END, kind, coalesce(about, webhook_id),
            to_json(now()), data);
    ELSE
        body := format('{"type":"%s","timestamp":%s,"data":%s}', kind, to_json(now()), data);
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
            -- an event of no job is of the webhook itself
            of_owner || chr(31), made_at, of_owner, coalesce(about, webhook_id), webhook_id);
    INSERT INTO job_events (job_id, seq, at, attempt, kind, data)
    VALUES (delivery_id, 1, made_at, 0, 'state', '{"status": "PENDING"}');
    RETURN delivery_id;
END $$;

CREATE FUNCTION longrun.submit(submission jsonb) RETURNS jsonb
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'longrun', 'pg_temp'
    AS $$
    SELECT submit(CAST(submission AS text))
$$;

CREATE FUNCTION longrun.submit(submission text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'longrun', 'pg_temp'
    SET jit TO 'off'
    SET standard_conforming_strings TO 'on'
    SET "TimeZone" TO 'UTC'
    AS $_$
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
        PERFORM refuse('task_type', format('%L is not registered; known task types: %s', job.task_type, coalesce(
            (SELECT string_agg(name, ', ' ORDER BY name) FROM task_types), 'none, until an API has started')));
    END IF;
    IF kind.has_secrets THEN
        PERFORM refuse('task_type', format('the input of %s has secrets, which PostgreSQL cannot encrypt: submit it with POST /tasks', kind.name));
    ELSIF jsonb_typeof(given -> 'input') IS DISTINCT FROM 'object' THEN
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
    job.owner := read_text(given, 'owner', 200);
    IF job.owner ~ '[\x01-\x1f\x7f]' THEN
        PERFORM refuse('owner', 'must have no control characters');
    END IF;
    FOR problem IN
        SELECT field FROM unnest(ARRAY['concurrency_key', 'rate_key', 'fairness_key', 'dedupe_key']) AS field
        WHERE strpos(given ->> field, chr(31)) > 0
    LOOP
        PERFORM refuse(problem.field, 'must not have the character U+001F');
    END LOOP;
    IF job.owner IS NOT NULL THEN
        IF job.fairness_key IS NOT NULL THEN
            PERFORM refuse('fairness_key', 'cannot be given together with owner: the tasks of an owner share its turn');
        END IF;
        job.concurrency_key := job.owner || chr(31) || job.concurrency_key;
        job.rate_key := job.owner || chr(31) || job.rate_key;
        job.fairness_key := job.owner || chr(31);
        job.dedupe_key := job.owner || chr(31) || job.dedupe_key;
    END IF;
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

    job.webhook := read_webhook(given);
    job.run_at := read_time(given, 'run_at');
    job.expires_at := read_time(given, 'expires_at');
    IF job.run_at IS NOT NULL AND delay_s IS NOT NULL THEN
        PERFORM refuse('delay_s', 'cannot be given together with run_at: choose one');
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

    IF job.owner IS NOT NULL AND queued_of(job.owner) >= quota(job.owner, 'queued') THEN
        RAISE EXCEPTION '% tasks are PENDING, and no more may be: try again once some have started, or cancel some', queued_of(job.owner) USING ERRCODE = 'LR429';
    END IF;
    job.id := new_job_id(job.created_at);
    LOOP
        INSERT INTO jobs (id, task_type, queue, priority, rank, status, ready, run_at, expires_at, timeout_s, input,
                          max_attempts, tags, metadata, traceparent, concurrency_key, fairness_key, retry, dedupe_key,
                          created_at, input_exact, metadata_exact, rate_key, owner, webhook,
                          counted_bytes)
        VALUES (job.id, job.task_type, job.queue, job.priority, job.run_at - job.priority * interval '60 s', 'PENDING',
                false, job.run_at, job.expires_at, job.timeout_s, given -> 'input', job.max_attempts, job.tags,
                job.metadata, job.traceparent, job.concurrency_key, job.fairness_key, job.retry, job.dedupe_key,
                job.created_at, exact(sent -> 'input'), exact(sent -> 'metadata'), job.rate_key, job.owner, job.webhook,
                CASE WHEN job.owner IS NOT NULL THEN octet_length(CAST(given -> 'input' AS text)) END)
        ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL AND status IN ('PENDING', 'RUNNING') DO NOTHING;
        IF FOUND THEN
            INSERT INTO job_events (job_id, seq, at, attempt, kind, data)
            VALUES (job.id, 1, job.created_at, 0, 'state', '{"status": "PENDING"}');
            PERFORM give_files(given, job.id, job.owner);
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
END $_$;

CREATE FUNCTION longrun.tell_webhooks() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'longrun', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    AS $$
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
                omitted := omitted || 'result'::text;
            END IF;
            IF octet_length(task_error) > 8000 THEN
                task_error := NULL;
                omitted := omitted || 'error'::text;
            END IF;
            IF octet_length(task_metadata) > 2000 THEN
                task_metadata := NULL;
                omitted := omitted || 'metadata'::text;
            END IF;
            facts := json_build_object(
                'task_id', NEW.id, 'seq', NEW.last_seq, 'status', NEW.status, 'task_type', NEW.task_type,
                'queue', NEW.queue, 'owner', NEW.owner, 'attempt', NEW.attempt, 'tags', NEW.tags,
                'created_at', NEW.created_at, 'started_at', NEW.started_at, 'finished_at', NEW.finished_at,
                'omitted', omitted, 'self', '/tasks/' || NEW.id);
            facts := format('%s,"metadata":%s,"result":%s,"error":%s}', left(facts, -1),
                coalesce(task_metadata, 'null'), coalesce(task_result, 'null'), coalesce(task_error, 'null'));
        END IF;
        PERFORM send_event(event, NEW.id, NEW.last_seq, facts, NEW.traceparent, hook.id, hook.owner, hook.url,
                           hook.host, hook.format);
    END LOOP;
    RETURN NULL;
END $$;

CREATE FUNCTION longrun.write_audit_log(kind text, subject text, owner text, before jsonb, after jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'longrun', 'pg_temp'
    AS $$
DECLARE
    act jsonb := convert_from(decode(current_setting('longrun.act'), 'hex'), 'UTF8');
    parts text[] := string_to_array(subject, chr(31));
BEGIN
    INSERT INTO audit_log (actor, actor_owner, address, request_id, act, kind, subject, owner, before, after)
    VALUES (act ->> 'actor', act ->> 'actor_owner', act ->> 'address', act ->> 'request_id', act ->> 'act', kind,
            parts[cardinality(parts)], coalesce(owner, CASE WHEN cardinality(parts) > 1 THEN parts[1] END),
            before, after);
END
$$;

CREATE TABLE longrun.api_keys (
    id text NOT NULL,
    name text NOT NULL,
    owner text,
    scopes text[] NOT NULL,
    secret_hash bytea NOT NULL,
    bootstrap boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT api_keys_secret_hash_check CHECK ((octet_length(secret_hash) = 32))
);

CREATE TABLE longrun.audit_log (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    actor text NOT NULL,
    actor_owner text,
    address text,
    request_id text,
    act text NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    owner text,
    before jsonb,
    after jsonb
);

ALTER TABLE longrun.audit_log ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME longrun.audit_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE longrun.default_quotas (
    only_one boolean DEFAULT true NOT NULL,
    amounts jsonb NOT NULL,
    CONSTRAINT default_quotas_only_one_check CHECK (only_one)
);

CREATE TABLE longrun.deleted_events (
    only_one boolean DEFAULT true NOT NULL,
    last_txid xid8 NOT NULL,
    CONSTRAINT deleted_events_only_one_check CHECK (only_one)
)
WITH (fillfactor='50');

CREATE TABLE longrun.ended_sessions (
    id uuid NOT NULL,
    until timestamp with time zone NOT NULL
);

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
    warnings text,
    CONSTRAINT idempotency_keys_fingerprint_check CHECK ((octet_length(fingerprint) = 32))
);

CREATE TABLE longrun.input_files (
    id uuid NOT NULL,
    owner text,
    media_type text NOT NULL,
    size bigint,
    sha256 text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    stored_at timestamp with time zone,
    expires_at timestamp with time zone NOT NULL,
    name text,
    job_id uuid,
    delete_at timestamp with time zone,
    CONSTRAINT given_is_stored CHECK (((name IS NULL) OR (stored_at IS NOT NULL))),
    CONSTRAINT input_files_size_check CHECK ((size >= 0)),
    CONSTRAINT stored_is_whole CHECK ((((stored_at IS NULL) = (size IS NULL)) AND ((stored_at IS NULL) = (sha256 IS NULL))))
);

CREATE TABLE longrun.job_events (
    job_id uuid NOT NULL,
    seq bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    attempt integer NOT NULL,
    kind text NOT NULL,
    data jsonb NOT NULL,
    data_exact text,
    txid xid8 DEFAULT pg_current_xact_id()
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
    owner text,
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
    suspected smallint DEFAULT 0 NOT NULL,
    webhook jsonb,
    delivers uuid,
    delivers_to uuid,
    sealed text,
    counted_bytes bigint,
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

CREATE TABLE longrun.owner_use_changes (
    owner text NOT NULL,
    queued integer NOT NULL,
    checked boolean DEFAULT false NOT NULL,
    bytes bigint DEFAULT 0 NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_cost_delay='0');

CREATE TABLE longrun.owner_uses (
    owner text NOT NULL,
    queued bigint NOT NULL,
    bytes bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='50');

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

CREATE TABLE longrun.quotas (
    owner text NOT NULL,
    amounts jsonb NOT NULL
);

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

CREATE TABLE longrun.signing_keys (
    name text NOT NULL,
    value bytea NOT NULL,
    CONSTRAINT signing_keys_value_check CHECK ((octet_length(value) = 32))
);

CREATE TABLE longrun.starts (
    counted_for text NOT NULL,
    at timestamp with time zone NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_cost_delay='0');

CREATE TABLE longrun.task_types (
    name text NOT NULL,
    queue text NOT NULL,
    max_attempts integer NOT NULL,
    timeout_s double precision,
    backoff_s double precision NOT NULL,
    backoff_max_s double precision NOT NULL,
    input_schema jsonb NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL,
    has_secrets boolean DEFAULT false NOT NULL,
    CONSTRAINT task_types_max_attempts_check CHECK ((max_attempts >= 1)),
    CONSTRAINT task_types_timeout_s_check CHECK ((timeout_s > (0)::double precision))
);

CREATE TABLE longrun.webhook_secrets (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    owner text,
    secret bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    CONSTRAINT webhook_secrets_secret_check CHECK ((octet_length(secret) = 32))
);

CREATE TABLE longrun.webhooks (
    id uuid NOT NULL,
    owner text,
    url text NOT NULL,
    host text NOT NULL,
    events text[] NOT NULL,
    task_types text[] NOT NULL,
    queues text[] NOT NULL,
    tags text[] NOT NULL,
    format text NOT NULL,
    signature text NOT NULL,
    secret bytea NOT NULL,
    secret_created_at timestamp with time zone DEFAULT now() NOT NULL,
    old_secret bytea,
    old_secret_created_at timestamp with time zone,
    old_secret_expires_at timestamp with time zone,
    failing_since timestamp with time zone,
    disabled_at timestamp with time zone,
    disabled_reason text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT webhooks_check CHECK (((disabled_at IS NULL) = (disabled_reason IS NULL))),
    CONSTRAINT webhooks_events_check CHECK ((cardinality(events) > 0)),
    CONSTRAINT webhooks_format_check CHECK ((format = ANY (ARRAY['standard'::text, 'cloudevents'::text]))),
    CONSTRAINT webhooks_old_secret_check CHECK ((octet_length(old_secret) = 32)),
    CONSTRAINT webhooks_secret_check CHECK ((octet_length(secret) = 32)),
    CONSTRAINT webhooks_signature_check CHECK ((signature = ANY (ARRAY['v1'::text, 'v1a'::text])))
);

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

ALTER TABLE ONLY longrun.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY longrun.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id);

ALTER TABLE ONLY longrun.default_quotas
    ADD CONSTRAINT default_quotas_pkey PRIMARY KEY (only_one);

ALTER TABLE ONLY longrun.deleted_events
    ADD CONSTRAINT deleted_events_pkey PRIMARY KEY (only_one);

ALTER TABLE ONLY longrun.ended_sessions
    ADD CONSTRAINT ended_sessions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY longrun.fair_turns
    ADD CONSTRAINT fair_turns_pkey PRIMARY KEY (queue, key);

ALTER TABLE longrun.jobs
    ADD CONSTRAINT gated_is_not_ready CHECK (((gate IS NULL) OR (NOT ready))) NOT VALID;

ALTER TABLE ONLY longrun.input_files
    ADD CONSTRAINT input_files_pkey PRIMARY KEY (id);

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

ALTER TABLE ONLY longrun.owner_uses
    ADD CONSTRAINT owner_uses_pkey PRIMARY KEY (owner);

ALTER TABLE ONLY longrun.queues
    ADD CONSTRAINT queues_pkey PRIMARY KEY (name);

ALTER TABLE longrun.queues
    ADD CONSTRAINT queues_rate_limit_check CHECK ((((max_starts IS NULL) = (window_s IS NULL)) AND ((max_starts IS NULL) OR ((max_starts >= 1) AND (window_s >= (1)::double precision) AND (window_s <= (86400)::double precision))))) NOT VALID;

ALTER TABLE ONLY longrun.quotas
    ADD CONSTRAINT quotas_pkey PRIMARY KEY (owner);

ALTER TABLE ONLY longrun.rate_limits
    ADD CONSTRAINT rate_limits_pkey PRIMARY KEY (key);

ALTER TABLE ONLY longrun.schedules
    ADD CONSTRAINT schedules_name_key UNIQUE (name);

ALTER TABLE ONLY longrun.schedules
    ADD CONSTRAINT schedules_pkey PRIMARY KEY (id);

ALTER TABLE ONLY longrun.signing_keys
    ADD CONSTRAINT signing_keys_pkey PRIMARY KEY (name);

ALTER TABLE ONLY longrun.task_types
    ADD CONSTRAINT task_types_pkey PRIMARY KEY (name);

ALTER TABLE ONLY longrun.webhook_secrets
    ADD CONSTRAINT webhook_secrets_pkey PRIMARY KEY (id);

ALTER TABLE ONLY longrun.webhooks
    ADD CONSTRAINT webhooks_pkey PRIMARY KEY (id);

ALTER TABLE ONLY longrun.workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (id);

CREATE INDEX api_keys_newest ON longrun.api_keys USING btree (created_at, id);

CREATE INDEX api_keys_of_owner ON longrun.api_keys USING btree (owner, created_at, id);

CREATE INDEX audit_log_by_actor ON longrun.audit_log USING btree (actor, id);

CREATE INDEX audit_log_by_subject ON longrun.audit_log USING btree (subject, id);

CREATE INDEX audit_log_of_owner ON longrun.audit_log USING btree (owner, id) WHERE (owner IS NOT NULL);

CREATE INDEX ended_sessions_until ON longrun.ended_sessions USING btree (until);

CREATE INDEX idempotency_keys_by_age ON longrun.idempotency_keys USING btree (created_at);

CREATE UNIQUE INDEX idempotency_keys_by_key ON longrun.idempotency_keys USING btree (key, COALESCE(owner, ''::text));

CREATE INDEX input_files_doomed ON longrun.input_files USING btree (delete_at) WHERE (delete_at IS NOT NULL);

CREATE UNIQUE INDEX input_files_of_job ON longrun.input_files USING btree (job_id, name) WHERE (job_id IS NOT NULL);

CREATE INDEX input_files_staged ON longrun.input_files USING btree (expires_at) WHERE ((name IS NULL) AND (delete_at IS NULL));

CREATE INDEX input_files_without_job ON longrun.input_files USING btree (id) WHERE ((job_id IS NULL) AND (name IS NOT NULL));

CREATE INDEX job_events_by_transaction ON longrun.job_events USING btree (txid, job_id, seq) WHERE ((kind = ANY (ARRAY['state'::text, 'progress'::text])) AND (txid IS NOT NULL));

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

CREATE INDEX jobs_delivering ON longrun.jobs USING btree (delivers, id) WHERE (delivers IS NOT NULL);

CREATE INDEX jobs_delivering_to ON longrun.jobs USING btree (delivers_to, id) WHERE (delivers_to IS NOT NULL);

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

CREATE INDEX jobs_of_owner ON longrun.jobs USING btree (owner, task_type, status, id) WHERE (owner IS NOT NULL);

CREATE INDEX jobs_of_owner_by_finish ON longrun.jobs USING btree ((
CASE
    WHEN (finished_at IS NOT NULL) THEN owner
    ELSE NULL::text
END), finished_at, id) WHERE (
CASE
    WHEN (finished_at IS NOT NULL) THEN owner
    ELSE NULL::text
END IS NOT NULL);

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

CREATE INDEX jobs_sealed ON longrun.jobs USING btree (id) WHERE (sealed IS NOT NULL);

CREATE INDEX jobs_stopping ON longrun.jobs USING btree (worker_id) WHERE ((status = 'CANCELLED'::text) AND (cancel_stopped_at IS NULL));

CREATE INDEX jobs_with_permit ON longrun.jobs USING btree (concurrency_key) WHERE ((concurrency_key IS NOT NULL) AND (((status = 'PENDING'::text) AND (ready OR (gate = 'queue'::text) OR ((gate = 'key'::text) AND rate_blocked))) OR (status = 'RUNNING'::text) OR ((status = 'CANCELLED'::text) AND (cancel_stopped_at IS NULL))));

CREATE INDEX key_limits_of_owner ON longrun.key_limits USING btree (split_part(key, chr(31), 1), key) WHERE (strpos(key, chr(31)) > 0);

CREATE INDEX owner_use_changes_of_owner ON longrun.owner_use_changes USING btree (owner);

CREATE INDEX rate_limits_of_owner ON longrun.rate_limits USING btree (split_part(key, chr(31), 1), key) WHERE (strpos(key, chr(31)) > 0);

CREATE INDEX schedules_due ON longrun.schedules USING btree (next_at) WHERE (next_at IS NOT NULL);

CREATE INDEX schedules_of_owner ON longrun.schedules USING btree (split_part(name, chr(31), 1), id) WHERE (strpos(name, chr(31)) > 0);

CREATE INDEX starts_in_order ON longrun.starts USING btree (counted_for, at);

CREATE UNIQUE INDEX webhook_secrets_newest ON longrun.webhook_secrets USING btree (COALESCE(owner, ''::text)) WHERE (expires_at IS NULL);

CREATE INDEX webhook_secrets_of_owner ON longrun.webhook_secrets USING btree (COALESCE(owner, ''::text), created_at);

CREATE INDEX webhooks_of_owner ON longrun.webhooks USING btree (COALESCE(owner, ''::text), id);

CREATE INDEX workers_live ON longrun.workers USING btree (id) WHERE (state = ANY (ARRAY['active'::text, 'draining'::text]));

CREATE TRIGGER api_keys_audit AFTER INSERT OR DELETE OR UPDATE OF name, owner, scopes, expires_at, revoked_at ON longrun.api_keys FOR EACH ROW EXECUTE FUNCTION longrun.audit('key', 'id', '{name,owner,scopes,expires_at,revoked_at}');

CREATE TRIGGER audit_log_is_kept BEFORE DELETE ON longrun.audit_log FOR EACH ROW WHEN ((old.at > (now() - '7 days'::interval))) EXECUTE FUNCTION longrun.refuse_to_change_audit_log();

CREATE TRIGGER audit_log_is_not_changed BEFORE UPDATE OR TRUNCATE ON longrun.audit_log FOR EACH STATEMENT EXECUTE FUNCTION longrun.refuse_to_change_audit_log();

CREATE TRIGGER check_names AFTER INSERT ON longrun.key_limits FOR EACH ROW WHEN ((strpos(new.key, chr(31)) > 0)) EXECUTE FUNCTION longrun.check_names('key');

CREATE TRIGGER check_names AFTER INSERT ON longrun.rate_limits FOR EACH ROW WHEN ((strpos(new.key, chr(31)) > 0)) EXECUTE FUNCTION longrun.check_names('key');

CREATE TRIGGER check_names AFTER INSERT ON longrun.schedules FOR EACH ROW WHEN ((strpos(new.name, chr(31)) > 0)) EXECUTE FUNCTION longrun.check_names('name');

CREATE TRIGGER check_upload AFTER INSERT ON longrun.input_files FOR EACH ROW WHEN ((new.owner IS NOT NULL)) EXECUTE FUNCTION longrun.check_upload();

CREATE CONSTRAINT TRIGGER check_use AFTER INSERT ON longrun.owner_use_changes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.checked) EXECUTE FUNCTION longrun.check_use();

CREATE TRIGGER count_added AFTER INSERT ON longrun.jobs REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION longrun.count_added();

CREATE TRIGGER count_deleted AFTER DELETE ON longrun.input_files FOR EACH ROW WHEN (((old.owner IS NOT NULL) AND (old.size IS NOT NULL))) EXECUTE FUNCTION longrun.count_file();

CREATE TRIGGER count_deleted AFTER DELETE ON longrun.job_files FOR EACH ROW WHEN (((old.owner IS NOT NULL) AND (old.size IS NOT NULL))) EXECUTE FUNCTION longrun.count_file();

CREATE TRIGGER count_deleted AFTER DELETE ON longrun.jobs REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION longrun.count_deleted();

CREATE TRIGGER count_moved AFTER UPDATE OF status ON longrun.jobs FOR EACH ROW WHEN (((new.owner IS NOT NULL) AND (new.delivers IS NULL) AND (((new.status = 'PENDING'::text) <> (old.status = 'PENDING'::text)) OR (new.counted_bytes <> old.counted_bytes)))) EXECUTE FUNCTION longrun.count_moved();

CREATE TRIGGER count_stored AFTER UPDATE OF size ON longrun.input_files FOR EACH ROW WHEN (((new.owner IS NOT NULL) AND (new.size IS DISTINCT FROM old.size))) EXECUTE FUNCTION longrun.count_file();

CREATE TRIGGER count_stored AFTER UPDATE OF size ON longrun.job_files FOR EACH ROW WHEN (((new.owner IS NOT NULL) AND (new.size IS DISTINCT FROM old.size))) EXECUTE FUNCTION longrun.count_file();

CREATE TRIGGER key_limits_audit AFTER INSERT OR DELETE OR UPDATE OF max_running ON longrun.key_limits FOR EACH ROW EXECUTE FUNCTION longrun.audit('concurrency_limit', 'key', '{max_running}');

CREATE TRIGGER queues_audit AFTER INSERT OR DELETE OR UPDATE OF paused, max_running, max_starts, window_s ON longrun.queues FOR EACH ROW EXECUTE FUNCTION longrun.audit('queue', 'name', '{paused,max_running,max_starts,window_s}');

CREATE TRIGGER quotas_audit AFTER INSERT OR DELETE OR UPDATE OF amounts ON longrun.quotas FOR EACH ROW EXECUTE FUNCTION longrun.audit('quota', 'owner', '{amounts}');

CREATE TRIGGER rate_limits_audit AFTER INSERT OR DELETE OR UPDATE OF max_starts, window_s ON longrun.rate_limits FOR EACH ROW EXECUTE FUNCTION longrun.audit('rate_limit', 'key', '{max_starts,window_s}');

CREATE TRIGGER schedules_audit AFTER INSERT OR DELETE OR UPDATE OF name, cron, timezone, overlap, missed_runs, max_missed_runs, start_deadline_s, paused, task ON longrun.schedules FOR EACH ROW EXECUTE FUNCTION longrun.audit('schedule', 'id', '{name,cron,timezone,overlap,missed_runs,max_missed_runs,start_deadline_s,paused,task}');

CREATE TRIGGER tell_webhooks AFTER UPDATE OF status ON longrun.jobs FOR EACH ROW WHEN (((new.status IS DISTINCT FROM old.status) AND (new.status <> 'PENDING'::text) AND (new.task_type <> 'longrun.webhook'::text))) EXECUTE FUNCTION longrun.tell_webhooks();

CREATE TRIGGER webhook_secrets_audit AFTER INSERT OR UPDATE OF expires_at ON longrun.webhook_secrets FOR EACH ROW EXECUTE FUNCTION longrun.audit('webhook_secret', 'id', '{owner,expires_at}');

CREATE TRIGGER webhooks_audit AFTER INSERT OR DELETE OR UPDATE OF url, events, task_types, queues, tags, format, secret_created_at, disabled_at ON longrun.webhooks FOR EACH ROW EXECUTE FUNCTION longrun.audit('webhook', 'id', '{owner,url,events,task_types,queues,tags,format,signature,secret_created_at,disabled_at,disabled_reason}');

ALTER TABLE ONLY longrun.input_files
    ADD CONSTRAINT input_files_job_id_fkey FOREIGN KEY (job_id) REFERENCES longrun.jobs(id) ON DELETE SET NULL;

ALTER TABLE ONLY longrun.job_files
    ADD CONSTRAINT job_files_job_id_fkey FOREIGN KEY (job_id) REFERENCES longrun.jobs(id) ON DELETE SET NULL;
