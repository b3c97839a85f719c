"""`submit` takes input files: those that were uploaded before, by their ids (docs/adr/0042-input-files.md)."""

from __future__ import annotations

from alembic import op

from jobcore.migrations import functions

revision = "0043"
down_revision = "0041_indexes"
branch_labels = None
depends_on = None

# What jobcore/files/names.py refuses in a name: of the categories Cc, Cf, Zl and Zp all but the joiners.
UNSEEN = (
    r"[\u0001-\u001f\u007f-\u009f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891\u08e2\u180e\u200b\u200e-\u200f"
    r"\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f"
    r"]"
)
SPACE = r"[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]"

# A long transaction has an old now(), so the clock tells whether a file has expired. Files are locked in the order of
# their ids, as POST /tasks locks them.
FUNCTION = rf"""
CREATE FUNCTION give_files(given jsonb, new_job uuid, of_owner text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT SET standard_conforming_strings = on AS $function$
DECLARE
    files jsonb := coalesce(nullif(given -> 'files', 'null'), '{{}}');
    ids uuid[] := '{{}}';
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
        ELSIF use.called ~ '{UNSEEN}' THEN
            PERFORM refuse('files.' || use.called, 'the name must not contain characters that are not seen');
        ELSIF use.called ~ '^{SPACE}|{SPACE}$' THEN
            PERFORM refuse('files.' || use.called, 'the name must not begin or end with a space');
        END IF;
        BEGIN
            ids := ids || CAST(coalesce(use.file #>> '{{}}', '') AS uuid);
        EXCEPTION WHEN data_exception THEN
            PERFORM refuse('files.' || use.called, 'must be the file_id of an uploaded file');
        END;
    END LOOP;
    IF (SELECT count(DISTINCT id) FROM unnest(ids) AS id) < cardinality(ids) THEN
        PERFORM refuse('files', 'has one file twice\: upload it once for each name');
    END IF;
    FOR use IN SELECT key AS called, CAST(value #>> '{{}}' AS uuid) AS file FROM jsonb_each(files) ORDER BY file LOOP
        UPDATE input_files SET job_id = new_job, name = use.called
        WHERE id = use.file AND name IS NULL AND stored_at IS NOT NULL AND delete_at IS NULL
            AND expires_at > clock_timestamp() AND (owner IS NULL OR of_owner IS NULL OR owner = of_owner);
        IF NOT FOUND THEN
            PERFORM refuse('files.' || use.called, format(
                'no file with the id %s waits for a submission\: it was never uploaded as a whole, another task has '
                'it, or it has expired; upload it again with POST /files', use.file));
        END IF;
    END LOOP;
END $function$;
"""

CHANGES = {
    "read_submission(text)": {"'traceparent', 'owner')": "'traceparent', 'owner', 'files')"},
    "submit(text)": {
        '\'{"status": "PENDING"}\');\n': '\'{"status": "PENDING"}\');\n'
        "            PERFORM give_files(given, job.id, job.owner);\n",
    },
}


def upgrade() -> None:
    op.execute(FUNCTION)
    # PostgreSQL lets every role execute a new function
    op.execute("REVOKE ALL ON FUNCTION give_files(jsonb, uuid, text) FROM PUBLIC")
    functions.change(CHANGES)


def downgrade() -> None:
    functions.change_back(CHANGES)
    op.execute("DROP FUNCTION give_files(jsonb, uuid, text)")
