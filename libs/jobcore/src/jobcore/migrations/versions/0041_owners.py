"""`submit` takes an owner, whose keys and turn it gives to the job (docs/adr/0046-owners.md)."""

from __future__ import annotations

from jobcore.migrations import functions

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

KEYS = r"""    job.owner := read_text(given, 'owner', 200);
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
"""
DEDUPE_KEY = "    job.dedupe_key := read_text(given, 'dedupe_key', 200);\n"

CHANGES = {
    "read_submission(text)": {"'dedupe_key', 'traceparent')": "'dedupe_key', 'traceparent', 'owner')"},
    "submit(text)": {
        DEDUPE_KEY: DEDUPE_KEY + KEYS,
        "metadata_exact, rate_key)\n": "metadata_exact, rate_key, owner)\n",
        "job.rate_key)\n": "job.rate_key, job.owner)\n",
    },
}


def upgrade() -> None:
    functions.change(CHANGES)


def downgrade() -> None:
    functions.change_back(CHANGES)
