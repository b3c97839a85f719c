"""One look a statement at what submissions add to the uses of owners, and one check an owner (ADR 59)."""

from __future__ import annotations

from importlib import import_module

from alembic import op

revision = "0051"
down_revision = "0053"
branch_labels = None
depends_on = None

# PostgreSQL gives a trigger the rows of an INSERT as a table. It does not do so for an UPDATE of one column, so claims
# and outcomes are counted row by row, as before.
COLUMN = """
DROP TRIGGER check_retried ON jobs; DROP TRIGGER check_inserted ON jobs; DROP FUNCTION check_queued();
DROP TRIGGER count_moved ON jobs; DROP TRIGGER count_inserted ON jobs;
-- whether somebody asked for the change, who can be refused; a run that goes back to its queue cannot
ALTER TABLE owner_use_changes ADD COLUMN checked boolean NOT NULL DEFAULT false;
"""
COUNT_QUEUED = """
CREATE OR REPLACE FUNCTION count_queued() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO owner_use_changes (owner, queued) VALUES (OLD.owner, -1);
    ELSE
        INSERT INTO owner_use_changes (owner, queued, checked) VALUES (
            NEW.owner, CASE NEW.status WHEN 'PENDING' THEN 1 ELSE -1 END,
            NEW.status = 'PENDING' AND OLD.status IN ('FAILED', 'CANCELLED'));
    END IF;
    RETURN NULL;
END $$;
"""
COUNT_ADDED = """
CREATE OR REPLACE FUNCTION count_added() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO owner_use_changes (owner, queued, checked)
    SELECT owner, count(*), true FROM added
    WHERE owner IS NOT NULL AND delivers IS NULL AND status = 'PENDING'
    GROUP BY owner ORDER BY owner;  -- the order in which the checks take their locks
    RETURN NULL;
END $$;
"""
CHECK = """
CREATE FUNCTION check_use() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
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
REVOKE ALL ON FUNCTION count_added(), check_use() FROM PUBLIC;
CREATE TRIGGER count_added AFTER INSERT ON jobs REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION count_added();
CREATE CONSTRAINT TRIGGER check_use AFTER INSERT ON owner_use_changes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
WHEN (NEW.checked) EXECUTE FUNCTION check_use();
"""
COUNT_MOVED = """
CREATE TRIGGER count_moved AFTER UPDATE OF status ON jobs FOR EACH ROW
WHEN (NEW.owner IS NOT NULL AND NEW.delivers IS NULL AND (NEW.status = 'PENDING') <> (OLD.status = 'PENDING'))
EXECUTE FUNCTION count_queued();
"""


def upgrade() -> None:
    for part in (COLUMN, COUNT_QUEUED, COUNT_ADDED, COUNT_MOVED, CHECK):
        op.execute(part)


def downgrade() -> None:
    op.execute("""
DROP TRIGGER check_use ON owner_use_changes; DROP TRIGGER count_moved ON jobs; DROP TRIGGER count_added ON jobs;
DROP FUNCTION check_use(); DROP FUNCTION count_added();
ALTER TABLE owner_use_changes DROP COLUMN checked;
""")
    before = import_module("jobcore.migrations.versions.0050_hard_quotas")
    op.execute(before.COUNT)
    op.execute(before.CHECKED)
