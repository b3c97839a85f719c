"""A database with a history: ended jobs of several types, statuses and schedules, with their events, and a backlog."""

from __future__ import annotations

from typing import Literal

import psycopg2

from tests.integration.store.world import World

Statistics = Literal["fresh", "outdated", "none"]
"""What the planner knows: everything, the history without what waits, or nothing."""

SCHEDULES = 5
BACKLOG = 3000
QUEUES = 300

JOBS = """
INSERT INTO {schema}.jobs (id, task_type, queue, rank, status, ready, run_at, input, result, error, max_attempts,
    fence, attempt, last_seq, worker_id, slot, schedule_id, scheduled_for, created_at, started_at, finished_at,
    cancel_requested_at, cancel_stopped_at, owner)
SELECT CAST(
           lpad(to_hex(CAST(extract(epoch FROM at) * 1000 AS bigint)), 12, '0') || '70008000'
           || lpad(to_hex(n), 12, '0')
       AS uuid),
       (ARRAY['echo', 'sleep', 'report', 'render'])[1 + n % 4], 'default', at, status, false, at, '{{}}', '{{"n": 1}}',
       CASE WHEN status = 'FAILED' THEN CAST('{{"kind": "raised"}}' AS jsonb) END, 3, 1, 1, 3,
       CAST(lpad(to_hex(n % 3), 32, '0') AS uuid), 0,
       CASE WHEN n % 7 = 0 THEN CAST(lpad(to_hex(n % {schedules}), 32, '0') AS uuid) END,
       CASE WHEN n % 7 = 0 THEN at END, at, at, at,
       CASE WHEN status = 'CANCELLED' THEN at END, CASE WHEN status = 'CANCELLED' THEN at END,
       CASE WHEN CASE WHEN n % 7 = 0 THEN n % {schedules} ELSE n % 9 END = 3 THEN 'tenant' END
FROM (
    SELECT n, now() - interval '9 days' + n * interval '1 s' / greatest(1, {count} / 600000.0) AS at,
           CASE WHEN n % 50 = 0 THEN 'CANCELLED' WHEN n % 20 = 1 THEN 'FAILED' ELSE 'SUCCESS' END AS status
    FROM generate_series(1, {count}) AS n
) AS past
"""
EVENTS = """
INSERT INTO {schema}.job_events (job_id, seq, at, attempt, kind, data)
SELECT id, seq, created_at, 1, 'state', '{{"status": "PENDING"}}'
FROM {schema}.jobs CROSS JOIN generate_series(1, 3) AS seq
ON CONFLICT DO NOTHING
"""
FILES = """
INSERT INTO {schema}.job_files (id, job_id, fence, name, media_type, size, sha256, stored_at)
SELECT id, id, 1, 'report', 'text/plain', 1, '0', created_at FROM {schema}.jobs
"""
INPUT_FILES = """
INSERT INTO {schema}.input_files (id, media_type, size, sha256, created_at, stored_at, expires_at, name, job_id)
SELECT id, 'text/plain', 1, '0', created_at, created_at, created_at, 'scan', id FROM {schema}.jobs
"""
KEYS = """
INSERT INTO {schema}.idempotency_keys
    (key, fingerprint, created_at, status, job_id, task_type, job_status, job_created_at)
SELECT 'key-' || id, sha256('body'), created_at, 202, id, task_type, 'PENDING', created_at FROM {schema}.jobs
"""


def make(url: str, count: int, schema: str, *, backlog: int = BACKLOG, statistics: Statistics = "fresh") -> None:
    """Give a migrated database `count` ended jobs, `backlog` of each kind that wait, and queues."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in (JOBS, EVENTS, FILES, INPUT_FILES, KEYS):
            cursor.execute(statement.format(schema=schema, count=count, schedules=SCHEDULES))
        if statistics == "outdated":
            cursor.execute("ANALYZE")
    with World(url) as world:
        for kind in ({}, {"delay_s": 3600}, {"concurrency_key": "full"}, {"rate_key": "full"}, {"queue": "limited"}):
            world.insert_many(backlog, **{"task_type": "backlog", "queue": "backlog", **kind})
        world.sql(
            "INSERT INTO queues (name) SELECT 'queue-' || n FROM generate_series(1, :count) AS n RETURNING name",
            count=QUEUES,
        )
    if statistics == "fresh":
        connection.cursor().execute("VACUUM (ANALYZE)")
    connection.close()
