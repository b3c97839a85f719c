"""How many bytes an owner has stored: counted in the rows of its use, and looked at by whoever adds some (ADR 59)."""

from __future__ import annotations

from importlib import import_module

from alembic import op

from jobcore.migrations import functions

revision = "0051_bytes"
down_revision = "0051"
branch_labels = None
depends_on = None

# A job says how many bytes were counted for it, because what PostgreSQL stores of a value changes with its row.
COLUMNS = """
ALTER TABLE jobs ADD COLUMN counted_bytes bigint;
ALTER TABLE job_files ADD COLUMN owner text;
ALTER TABLE owner_uses ADD COLUMN bytes bigint NOT NULL DEFAULT 0;
ALTER TABLE owner_use_changes ADD COLUMN bytes bigint NOT NULL DEFAULT 0;
CREATE FUNCTION bytes_of(of_owner text) RETURNS bigint LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT coalesce((SELECT bytes FROM owner_uses WHERE owner = of_owner), 0)
           + coalesce((SELECT sum(bytes) FROM owner_use_changes WHERE owner = of_owner), 0)
$$;
CREATE FUNCTION may_store(of_owner text) RETURNS boolean LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
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
"""
JOBS = """
DROP TRIGGER count_moved ON jobs; DROP TRIGGER count_deleted ON jobs; DROP FUNCTION count_queued();
CREATE OR REPLACE FUNCTION count_added() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO owner_use_changes (owner, queued, bytes, checked)
    SELECT owner, count(*), coalesce(sum(counted_bytes), 0), true FROM added
    WHERE owner IS NOT NULL AND delivers IS NULL AND status = 'PENDING'
    GROUP BY owner HAVING may_store(owner)
    ORDER BY owner;  -- the order in which the checks take their locks
    RETURN NULL;
END $$;
CREATE FUNCTION count_moved() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO owner_use_changes (owner, queued, bytes, checked) VALUES (
        NEW.owner, CAST(NEW.status = 'PENDING' AS integer) - CAST(OLD.status = 'PENDING' AS integer),
        coalesce(NEW.counted_bytes - OLD.counted_bytes, 0),
        NEW.status = 'PENDING' AND OLD.status IN ('FAILED', 'CANCELLED'));
    RETURN NULL;
END $$;
CREATE FUNCTION count_deleted() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO owner_use_changes (owner, queued, bytes)
    SELECT owner, -count(*) FILTER (WHERE status = 'PENDING'), -coalesce(sum(counted_bytes), 0) FROM deleted
    WHERE owner IS NOT NULL AND delivers IS NULL GROUP BY owner;
    RETURN NULL;
END $$;
CREATE TRIGGER count_moved AFTER UPDATE OF status ON jobs FOR EACH ROW
WHEN (NEW.owner IS NOT NULL AND NEW.delivers IS NULL
      AND ((NEW.status = 'PENDING') <> (OLD.status = 'PENDING') OR NEW.counted_bytes <> OLD.counted_bytes))
EXECUTE FUNCTION count_moved();
CREATE TRIGGER count_deleted AFTER DELETE ON jobs REFERENCING OLD TABLE AS deleted
FOR EACH STATEMENT EXECUTE FUNCTION count_deleted();
"""
FILES = """
CREATE FUNCTION count_file() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO owner_use_changes (owner, queued, bytes) VALUES (OLD.owner, 0, -OLD.size);
    ELSE
        INSERT INTO owner_use_changes (owner, queued, bytes)
        VALUES (NEW.owner, 0, NEW.size - coalesce(OLD.size, 0));
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION check_upload() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM may_store(NEW.owner);
    RETURN NULL;
END $$;
CREATE TRIGGER check_upload AFTER INSERT ON input_files FOR EACH ROW WHEN (NEW.owner IS NOT NULL)
EXECUTE FUNCTION check_upload();
REVOKE ALL ON FUNCTION bytes_of(text), may_store(text), count_moved(), count_deleted(), count_file(), check_upload()
FROM PUBLIC;
"""
OF_FILES = """
CREATE TRIGGER count_stored AFTER UPDATE OF size ON {0} FOR EACH ROW
WHEN (NEW.owner IS NOT NULL AND NEW.size IS DISTINCT FROM OLD.size) EXECUTE FUNCTION count_file();
CREATE TRIGGER count_deleted AFTER DELETE ON {0} FOR EACH ROW
WHEN (OLD.owner IS NOT NULL AND OLD.size IS NOT NULL) EXECUTE FUNCTION count_file();
"""
TABLES = ("input_files", "job_files")
SUBMIT = {
    "submit(text)": {
        "created_at, input_exact, metadata_exact, rate_key, owner, webhook)\n": "created_at, input_exact, "
        "metadata_exact, rate_key, owner, webhook,\n                          counted_bytes)\n",
        "job.rate_key, job.owner, job.webhook)\n": "job.rate_key, job.owner, job.webhook,\n                "
        "CASE WHEN job.owner IS NOT NULL THEN octet_length(CAST(given -> 'input' AS text)) END)\n",
    }
}


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute(JOBS)
    op.execute(FILES)
    for table in TABLES:
        op.execute(OF_FILES.format(table))
    functions.change(SUBMIT)


def downgrade() -> None:
    functions.change_back(SUBMIT)
    for table in TABLES:
        op.execute(f"DROP TRIGGER count_stored ON {table}; DROP TRIGGER count_deleted ON {table}")
    op.execute("""
DROP TRIGGER check_upload ON input_files; DROP TRIGGER count_deleted ON jobs; DROP TRIGGER count_moved ON jobs;
DROP FUNCTION check_upload(); DROP FUNCTION count_file(); DROP FUNCTION count_deleted(); DROP FUNCTION count_moved();
""")
    queued, added = (import_module(f"jobcore.migrations.versions.{name}") for name in ("0050_hard_quotas", "0051_uses"))
    for part in (added.COUNT_QUEUED, added.COUNT_ADDED, added.COUNT_MOVED, queued.COUNT_DELETED_TRIGGER):
        op.execute(part)
    op.execute("""
DROP FUNCTION may_store(text); DROP FUNCTION bytes_of(text);
ALTER TABLE owner_use_changes DROP COLUMN bytes; ALTER TABLE owner_uses DROP COLUMN bytes;
ALTER TABLE job_files DROP COLUMN owner; ALTER TABLE jobs DROP COLUMN counted_bytes;
""")
