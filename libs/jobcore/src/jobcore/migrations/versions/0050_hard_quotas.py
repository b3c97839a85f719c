"""How many jobs of an owner may be queued: counted in rows of this database, and checked at each commit (ADR 54)."""

from __future__ import annotations

from alembic import op

from jobcore.migrations import functions

revision = "0050"
down_revision = "0049_indexes"
branch_labels = None
depends_on = None

QUOTAS = """
ALTER TABLE quotas
    -- by the name of the quota; one that is left out is that of the settings, and null is any number
    ADD COLUMN amounts jsonb;
UPDATE quotas SET amounts = jsonb_build_object('submissions', submissions);
ALTER TABLE quotas ALTER COLUMN amounts SET NOT NULL;
DROP TRIGGER quotas_audit ON quotas;
ALTER TABLE quotas DROP COLUMN submissions;
CREATE TRIGGER quotas_audit AFTER INSERT OR DELETE OR UPDATE OF amounts ON quotas FOR EACH ROW
EXECUTE FUNCTION audit('quota', 'owner', '{amounts}');
CREATE TABLE default_quotas (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    -- those of the settings of the API that started last
    amounts jsonb NOT NULL
);
CREATE FUNCTION quota(of_owner text, name text) RETURNS bigint LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT CAST(coalesce((SELECT amounts FROM default_quotas), '{}')
                || coalesce((SELECT amounts FROM quotas WHERE owner = of_owner), '{}') ->> name AS bigint)
$$;
"""

# Whoever changes the use of an owner inserts a row and locks nothing. The keeper adds the rows up.
COUNTED = """
CREATE TABLE owner_uses (owner text PRIMARY KEY, queued bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE owner_use_changes (owner text NOT NULL, queued integer NOT NULL)
WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX owner_use_changes_of_owner ON owner_use_changes (owner);
CREATE FUNCTION queued_of(of_owner text) RETURNS bigint LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT coalesce((SELECT queued FROM owner_uses WHERE owner = of_owner), 0)
           + coalesce((SELECT sum(queued) FROM owner_use_changes WHERE owner = of_owner), 0)
$$;
"""
COUNT = """
CREATE OR REPLACE FUNCTION count_queued() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO owner_use_changes (owner, queued) VALUES (OLD.owner, -1);
    ELSE
        INSERT INTO owner_use_changes (owner, queued)
        VALUES (NEW.owner, CASE NEW.status WHEN 'PENDING' THEN 1 ELSE -1 END);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER count_inserted AFTER INSERT ON jobs FOR EACH ROW
WHEN (NEW.owner IS NOT NULL AND NEW.delivers IS NULL AND NEW.status = 'PENDING') EXECUTE FUNCTION count_queued();
CREATE TRIGGER count_moved AFTER UPDATE OF status ON jobs FOR EACH ROW
WHEN (NEW.owner IS NOT NULL AND NEW.delivers IS NULL AND (NEW.status = 'PENDING') <> (OLD.status = 'PENDING'))
EXECUTE FUNCTION count_queued();
"""
COUNT_DELETED_TRIGGER = """
CREATE TRIGGER count_deleted AFTER DELETE ON jobs FOR EACH ROW
WHEN (OLD.owner IS NOT NULL AND OLD.delivers IS NULL AND OLD.status = 'PENDING') EXECUTE FUNCTION count_queued();
"""
COUNT_WHAT_IS_THERE = """
-- the triggers have waited for all writers, and hold off others until the commit
INSERT INTO owner_uses SELECT owner, count(*) FROM jobs
WHERE owner IS NOT NULL AND delivers IS NULL AND status = 'PENDING' GROUP BY owner;
"""

# Deferred, so that the lock of the owner is held for the commit alone, however long the transaction is. Each statement
# of the function has its own snapshot, so what it counts behind the lock has all that was committed before. It runs as
# its owner, because at the commit of an application that called `submit` the role is the application's.
CHECKED = """
CREATE FUNCTION check_queued() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    most bigint;
    used bigint;
BEGIN
    -- all rows of the transaction are there, so one look is enough; jobs of one owner mostly come in a row
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
REVOKE ALL ON FUNCTION quota(text, text), queued_of(text), count_queued(), check_queued() FROM PUBLIC;
CREATE CONSTRAINT TRIGGER check_inserted AFTER INSERT ON jobs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
WHEN (NEW.owner IS NOT NULL AND NEW.delivers IS NULL) EXECUTE FUNCTION check_queued();
CREATE CONSTRAINT TRIGGER check_retried AFTER UPDATE OF status ON jobs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
WHEN (NEW.owner IS NOT NULL AND NEW.delivers IS NULL AND NEW.status = 'PENDING'
      AND OLD.status IN ('FAILED', 'CANCELLED')) EXECUTE FUNCTION check_queued();
"""

# What fails at the call can still be handled in the transaction; the check at the commit is what nobody gets past.
REFUSED_EARLY = {
    "submit(text)": {
        "    job.id := new_job_id(job.created_at);\n": "    IF job.owner IS NOT NULL AND queued_of(job.owner) >= "
        "quota(job.owner, 'queued') THEN\n"
        "        RAISE EXCEPTION '% tasks are PENDING, and no more may be: try again once some have started, or cancel "
        "some', queued_of(job.owner) USING ERRCODE = 'LR429';\n"
        "    END IF;\n"
        "    job.id := new_job_id(job.created_at);\n"
    },
}


def upgrade() -> None:
    op.execute(QUOTAS)
    for part in (COUNTED, COUNT, COUNT_DELETED_TRIGGER, COUNT_WHAT_IS_THERE):
        op.execute(part)
    op.execute(CHECKED)
    functions.change(REFUSED_EARLY)


def downgrade() -> None:
    functions.change_back(REFUSED_EARLY)
    op.execute("""
DROP TRIGGER check_retried ON jobs; DROP TRIGGER check_inserted ON jobs; DROP FUNCTION check_queued();
DROP TRIGGER count_deleted ON jobs; DROP TRIGGER count_moved ON jobs; DROP TRIGGER count_inserted ON jobs;
DROP FUNCTION count_queued(); DROP FUNCTION queued_of(text); DROP FUNCTION quota(text, text);
DROP TABLE owner_use_changes; DROP TABLE owner_uses; DROP TABLE default_quotas;
DROP TRIGGER quotas_audit ON quotas;
ALTER TABLE quotas ADD COLUMN submissions integer CHECK (submissions > 0);
UPDATE quotas SET submissions = CAST(amounts ->> 'submissions' AS integer);
ALTER TABLE quotas DROP COLUMN amounts;
CREATE TRIGGER quotas_audit AFTER INSERT OR DELETE OR UPDATE OF submissions ON quotas FOR EACH ROW
EXECUTE FUNCTION audit('quota', 'owner', '{submissions}');
""")
