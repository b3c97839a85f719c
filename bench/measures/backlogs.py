"""Backlogs of the keeper: many jobs that become due, expire or are old at once, and many queues."""

from __future__ import annotations

import http.client
import json
import statistics
import time
from datetime import UTC, datetime, timedelta

from bench.client import post_one
from bench.database import UUID7
from bench.figures import Row, milliseconds
from bench.scale import Scale
from bench.stage import Running, Stage, say
from bench.systems import LONGRUN

SOON_S = 3
WITHIN_S = 300.0
POLL_S = 0.05
LOOKS = 50
INSERT = f"""
INSERT INTO jobs (id, task_type, queue, rank, status, ready, run_at, expires_at, input, max_attempts, created_at,
                  started_at, finished_at, fence, attempt, last_seq)
SELECT {UUID7.format(at="made")}, 'echo', %s, made, status, status = 'PENDING' AND run_at <= now(), run_at, expires_at,
       '{{{{"hello": "world"}}}}', 3, made, ended_at, ended_at, CAST(ended_at IS NOT NULL AS integer),
       CAST(ended_at IS NOT NULL AS integer), 1
FROM (SELECT {{fields}} FROM generate_series(1, %s)) AS given
"""
DELAYED = INSERT.format(
    fields="now() AS made, 'PENDING' AS status, now() + interval '3 s' AS run_at, "
    "CAST(NULL AS timestamptz) AS expires_at, CAST(NULL AS timestamptz) AS ended_at"
)
EXPIRING = INSERT.format(
    fields="now() AS made, 'PENDING' AS status, now() AS run_at, now() + interval '3 s' AS expires_at, "
    "CAST(NULL AS timestamptz) AS ended_at"
)
OLD = INSERT.format(
    fields="now() - interval '60 days' AS made, 'SUCCESS' AS status, now() AS run_at, "
    "CAST(NULL AS timestamptz) AS expires_at, now() - interval '60 days' AS ended_at"
)
STORY = """
INSERT INTO job_events (job_id, seq, at, attempt, kind, data)
SELECT id, seq, created_at, 1, 'state', '{"status": "PENDING"}' FROM jobs CROSS JOIN generate_series(1, 3) AS seq
WHERE queue = %s
"""
WAITING = "SELECT count(*) FROM jobs WHERE queue = %s AND status = 'PENDING' AND NOT ready"
PENDING = "SELECT count(*) FROM jobs WHERE queue = %s AND status = 'PENDING'"
LEFT = "SELECT count(*) FROM jobs WHERE queue = %s"
LATENESS = "SELECT extract(epoch FROM started_at - run_at)::float8 FROM jobs WHERE id = %s AND started_at IS NOT NULL"
NEW_QUEUES = "INSERT INTO queues (name) SELECT 'queue-' || n FROM generate_series(1, %s) AS n ON CONFLICT DO NOTHING"


def seconds_until_none(running: Running, sql: str, queue: str, since: float) -> float:
    """Seconds from the monotonic time `since` until the statement counts no job in this queue."""
    while running.database.value(sql, queue):
        if time.monotonic() > since + WITHIN_S:
            raise TimeoutError(f"not within {WITHIN_S:.0f} s: {sql}")
        time.sleep(POLL_S)
    return time.monotonic() - since


def promoted_s(running: Running, jobs: int) -> float:
    """Seconds from the time `jobs` jobs become due until all are ready."""
    running.database.execute(DELAYED, "delayed", jobs)
    began = time.monotonic() + SOON_S
    time.sleep(SOON_S)
    return seconds_until_none(running, WAITING, "delayed", began)


def urgent_s(running: Running, jobs: int) -> float:
    """How many seconds late a job of priority 9 starts while `jobs` others become due in a queue without workers."""
    running.database.execute(DELAYED, "crowd", jobs)
    run_at = (datetime.now(UTC) + timedelta(seconds=SOON_S + 0.5)).isoformat()
    task = {"task_type": "echo", "input": {}, "priority": 9, "run_at": run_at}
    job_id = post_one(running.port, 10, task).body["task_id"]
    began = time.monotonic()
    while not (late := running.database.rows(LATENESS, job_id)):
        if time.monotonic() > began + WITHIN_S:
            raise TimeoutError("the urgent job did not start")
        time.sleep(POLL_S)
    return float(late[0][0])


def expired_s(running: Running, jobs: int) -> float:
    """Seconds from the time `jobs` jobs expire until all are FAILED."""
    running.database.execute(EXPIRING, "expiring", jobs)
    began = time.monotonic() + SOON_S
    time.sleep(SOON_S)
    return seconds_until_none(running, PENDING, "expiring", began)


def retired_s(running: Running, jobs: int) -> float:
    """Seconds from the first deletion of `jobs` old jobs, with three events each, to the last."""
    running.database.execute(OLD, "old", jobs)
    running.database.execute(STORY, "old")
    while running.database.value(LEFT, "old") == jobs:
        time.sleep(POLL_S)
    return seconds_until_none(running, LEFT, "old", time.monotonic())


def page_s(running: Running, queues: int) -> list[float]:
    """Seconds of each GET /queues with this many queues."""
    running.database.execute(NEW_QUEUES, queues)
    running.database.execute("ANALYZE queues")
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
    seconds = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        connection.request("GET", "/queues")
        page = json.loads(connection.getresponse().read())
        seconds.append(time.perf_counter() - began)
        if len(page["items"]) != 100:
            raise RuntimeError(f"GET /queues answered {page}")
    connection.close()
    return seconds


def measure(stage: Stage, scale: Scale) -> list[Row]:
    jobs = scale.backlog
    with stage.run(LONGRUN) as running:
        say(f"backlogs: {jobs:,} jobs become due, expire, grow old")
        promoted = promoted_s(running, jobs)
        urgent = urgent_s(running, jobs)
        expired = expired_s(running, jobs)
        retired = retired_s(running, jobs)
        looks = page_s(running, scale.queues)
    return [
        Row(
            what=f"{jobs:,} delayed jobs due at once: all ready after",
            longrun=f"{promoted:.1f} s",
            note="from their time; in a queue that nobody serves",
        ),
        Row(
            what="beside them, a priority-9 job of another queue starts after",
            longrun=f"{urgent:.2f} s",
            note="from its time; the keeper looks each second",
        ),
        Row(what="expiry", longrun=f"{jobs / expired:,.0f} jobs/s", note=f"{jobs:,} expire at once"),
        Row(what="retention", longrun=f"{jobs / retired:,.0f} jobs/s", note=f"{jobs:,} old jobs, three events each"),
        Row(
            what=f"GET /queues with {scale.queues:,} queues, p50",
            longrun=milliseconds(statistics.median(looks)),
            note=f"the first page of 100; {LOOKS} in turn",
        ),
    ]
