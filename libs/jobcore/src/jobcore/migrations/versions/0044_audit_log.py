"""The audit log: triggers write what an act of an operator changed, in the transaction that changes it (ADR 53)."""

from __future__ import annotations

from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL,
    -- for whom the actor acts; NULL: the operator
    actor_owner text,
    address text,
    request_id text,
    act text NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    -- whose the subject is; NULL: the operator's
    owner text,
    before jsonb,
    after jsonb
);
CREATE INDEX audit_log_by_actor ON audit_log (actor, id);
CREATE INDEX audit_log_by_subject ON audit_log (subject, id);
CREATE INDEX audit_log_of_owner ON audit_log (owner, id) WHERE owner IS NOT NULL;
"""

# A stored key is its owner, U+001F and the key (jobcore/models/owned_keys.py).
WRITE = r"""
CREATE FUNCTION write_audit_log(kind text, subject text, owner text, before jsonb, after jsonb) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $function$
DECLARE
    act jsonb := convert_from(decode(current_setting('longrun.act'), 'hex'), 'UTF8');
    parts text[] := string_to_array(subject, chr(31));
BEGIN
    INSERT INTO audit_log (actor, actor_owner, address, request_id, act, kind, subject, owner, before, after)
    VALUES (act ->> 'actor', act ->> 'actor_owner', act ->> 'address', act ->> 'request_id', act ->> 'act', kind,
            parts[cardinality(parts)], coalesce(owner, CASE WHEN cardinality(parts) > 1 THEN parts[1] END),
            before, after);
END
$function$;
"""

# Columns are named one by one, so that a new one, which may be secret, does not get here by itself. An input may be
# large, or not for everyone to read: its digest tells whether it was changed.
SHOWN = r"""
CREATE FUNCTION audited_columns(stored jsonb, columns text[]) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $function$
SELECT jsonb_object_agg(key, CASE
    WHEN key = 'task' THEN value - 'input' || jsonb_build_object(
        'input_sha256', encode(sha256(convert_to(coalesce(value ->> 'input', ''), 'UTF8')), 'hex'))
    WHEN key = 'name' THEN to_jsonb(regexp_replace(value #>> '{}', '^.*\x1f', ''))
    ELSE value END)
FROM jsonb_each(stored) WHERE key = ANY(columns)
$function$;
"""

TRIGGER = r"""
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $function$
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
$function$;
"""

APPEND_ONLY = """
CREATE FUNCTION refuse_to_change_audit_log() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    RAISE EXCEPTION 'the audit log only grows: its entries can be deleted after 7 days, and never changed'
        USING ERRCODE = 'insufficient_privilege';
END
$function$;
CREATE TRIGGER audit_log_is_not_changed BEFORE UPDATE OR TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_audit_log();
CREATE TRIGGER audit_log_is_kept BEFORE DELETE ON audit_log
FOR EACH ROW WHEN (OLD.at > now() - interval '7 days') EXECUTE FUNCTION refuse_to_change_audit_log();
"""

FUNCTIONS = """
audit(), audited_columns(jsonb, text[]), refuse_to_change_audit_log(), write_audit_log(text, text, text, jsonb, jsonb)
"""

AUDITED = {
    "queues": ("queue", "name", "paused, max_running, max_starts, window_s"),
    "key_limits": ("concurrency_limit", "key", "max_running"),
    "rate_limits": ("rate_limit", "key", "max_starts, window_s"),
    "schedules": (
        "schedule",
        "id",
        "name, cron, timezone, overlap, missed_runs, max_missed_runs, start_deadline_s, paused, task",
    ),
    "api_keys": ("key", "id", "name, owner, scopes, expires_at, revoked_at"),
}
"""Per table: the kind of thing in it, the column that names one, and what an operator sets."""


def upgrade() -> None:
    for statements in (TABLE, WRITE, SHOWN, TRIGGER, APPEND_ONLY):
        op.get_bind().exec_driver_sql(statements)
    # PostgreSQL lets every role execute a new function
    op.execute(f"REVOKE ALL ON FUNCTION {FUNCTIONS} FROM PUBLIC")
    for table, (kind, subject, columns) in AUDITED.items():
        op.get_bind().exec_driver_sql(
            f"CREATE TRIGGER {table}_audit AFTER INSERT OR DELETE OR UPDATE OF {columns} ON {table} FOR EACH ROW "
            f"EXECUTE FUNCTION audit('{kind}', '{subject}', '{{{columns.replace(' ', '')}}}')"
        )


def downgrade() -> None:
    for table in AUDITED:
        op.execute(f"DROP TRIGGER {table}_audit ON {table}")
    op.execute("DROP TABLE audit_log")
    op.execute(f"DROP FUNCTION {FUNCTIONS}")
