"""Dedupe keys: at most one live job has a dedupe key."""

from __future__ import annotations

from jobcore.errors import LongrunError
from jobcore.store.jobs import LIVE


class DedupeKeyInUse(LongrunError):
    """A request that makes a job with the same dedupe key live is not answered yet."""

    status = 409
    slug = "dedupe-key-in-use"
    title = "A request with this dedupe_key is in progress"
    retry_after_s = 1


def without_duplicates(source: str) -> str:
    """SQL: CTEs that split the jobs of `source` into `given` and each `duplicate`, whose dedupe key has a live job."""
    return f"""
live AS MATERIALIZED (
    SELECT id AS live_id, dedupe_key, task_type, status, created_at FROM jobs
    WHERE dedupe_key = ANY(ARRAY(SELECT dedupe_key FROM {source})) AND {LIVE}
), duplicate AS MATERIALIZED (
    SELECT {source}.id AS sent_id, live_id, live.task_type, status, created_at
    FROM {source} JOIN live USING (dedupe_key)
), given AS MATERIALIZED (
    SELECT * FROM {source} WHERE id NOT IN (SELECT sent_id FROM duplicate)
)"""
