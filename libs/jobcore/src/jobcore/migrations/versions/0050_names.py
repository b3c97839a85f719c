"""How many schedules and limits an owner may keep: checked by whoever adds one (ADR 54)."""

from __future__ import annotations

from alembic import op

revision = "0050_names"
down_revision = "0050"
branch_labels = None
depends_on = None

OF_OWNER = "strpos({0}, chr(31)) > 0 AND split_part({0}, chr(31), 1) = of_owner"

# Each table has an index of what its owners keep, and a count reads no more of it than the owner may keep.
CHECK = f"""
CREATE FUNCTION names_of(of_owner text) RETURNS bigint LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT (SELECT count(*) FROM schedules WHERE {OF_OWNER.format("name")})
           + (SELECT count(*) FROM key_limits WHERE {OF_OWNER.format("key")})
           + (SELECT count(*) FROM rate_limits WHERE {OF_OWNER.format("key")})
$$;
CREATE FUNCTION check_names() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
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
REVOKE ALL ON FUNCTION names_of(text), check_names() FROM PUBLIC;
"""
KEPT = {"schedules": "name", "key_limits": "key", "rate_limits": "key"}


def upgrade() -> None:
    op.execute(CHECK)
    for table, column in KEPT.items():
        op.execute(
            f"CREATE TRIGGER check_names AFTER INSERT ON {table} FOR EACH ROW "
            f"WHEN (strpos(NEW.{column}, chr(31)) > 0) EXECUTE FUNCTION check_names('{column}')"
        )


def downgrade() -> None:
    for table in KEPT:
        op.execute(f"DROP TRIGGER check_names ON {table}")
    op.execute("DROP FUNCTION check_names(); DROP FUNCTION names_of(text)")
