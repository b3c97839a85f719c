"""The time of `GET /tasks` with each filter, beside a short history and beside a long one."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from bench.database import UUID7
from bench.figures import Row, milliseconds, percentile
from bench.scale import Scale
from bench.stage import Running, Stage, say
from bench.systems import LONGRUN

FEW: Final = 10_000
STEP: Final = 250_000
DAYS: Final = 30
"""Days of history, whatever the number of tasks."""

FILL = f"""
INSERT INTO jobs (id, task_type, queue, rank, status, ready, run_at, input, metadata, tags, max_attempts, fence,
                  attempt, last_seq, result, error, schedule_id, created_at, started_at, finished_at)
SELECT {UUID7.format(at="at")}, (ARRAY['echo', 'sleep', 'report', 'render'])[1 + n %% 4],
       CASE WHEN n %% 1000 = 0 THEN 'rare' ELSE 'default' END, at, status, false, at,
       jsonb_build_object('n', n), jsonb_build_object('customer', n %% 5000),
       CASE WHEN n %% 500 = 0 THEN ARRAY['red'] ELSE '{{}}' END, 3, 1, 1, 3, '{{"ok": true}}',
       CASE WHEN status = 'FAILED' THEN
           jsonb_build_object('kind', 'raised', 'type', 'IOError', 'message', 'connection refused ' || n) END,
       CASE WHEN n %% 700 = 0 THEN CAST('00000000-0000-7000-8000-000000000001' AS uuid) END,
       at, at + interval '1 s', at + interval '5 s'
FROM (
    SELECT n, now() - interval '{DAYS} days' + n * (interval '{DAYS} days' / %s) AS at,
           CASE WHEN n %% 100 = 0 THEN 'FAILED' ELSE 'SUCCESS' END AS status
    FROM generate_series(%s, %s) AS n
) AS past
"""


def queries(running: Running) -> Mapping[str, str]:
    """What is asked, by its name in the table."""
    day = "SELECT to_char(now() AT TIME ZONE 'utc' - interval '%s days', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
    after, before = (str(running.database.value(day % days)) for days in (10, 9))
    parameters = {
        "no filter": {},
        "status": {"status": "FAILED"},
        "task_type": {"task_type": "report"},
        "schedule_id": {"schedule_id": "00000000-0000-7000-8000-000000000001"},
        "queue": {"queue": "rare"},
        "a range of created": {"created_after": after, "created_before": before},
        "a range of finished": {"finished_after": after, "finished_before": before, "sort": "-finished"},
        "sort=finished": {"sort": "finished"},
        "error_contains": {"error_contains": "refused"},
        "tag": {"tag": "red"},
        "metadata": {"metadata": '{"customer": 42}'},
        "input": {"input": '{"n": 7}'},
    }
    counted = {f"count of {name}": f"/tasks:count?{urlencode(parameters[name])}" for name in ("no filter", "tag")}
    return {name: f"/tasks?{urlencode(given)}" for name, given in parameters.items()} | counted


def ask(running: Running, paths: Mapping[str, str], samples: int, percent: float = 99) -> Mapping[str, float]:
    """A percentile of each request, in seconds, by its name."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
    times: dict[str, list[float]] = {name: [] for name in paths}
    for number in range(samples + 3):
        for name, path in paths.items():
            started = time.perf_counter()
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            if answer.status != http.client.OK:
                raise RuntimeError(f"{path}: {answer.status}")
            if number >= 3:  # the first ones warm caches up
                times[name].append(time.perf_counter() - started)
    return {name: percentile(values, percent) for name, values in times.items()}


def fill(running: Running, count: int) -> None:
    """A history of `count` tasks, then vacuum and checkpoint."""
    running.database.execute("TRUNCATE jobs CASCADE")
    for first in range(0, count, STEP):
        running.database.execute(FILL, count, first + 1, min(first + STEP, count))
    running.database.execute("VACUUM ANALYZE jobs")
    running.database.execute("CHECKPOINT")


def measure(stage: Stage, scale: Scale) -> list[Row]:
    found = []
    with stage.run(LONGRUN, worker=False) as running:
        for count in (FEW, scale.filter_rows):
            say(f"filters: {count:,} tasks")
            fill(running, count)
            found.append(ask(running, queries(running), scale.filter_samples))
    few, many = found
    return [
        Row(
            what=f"GET /tasks, {name}, {scale.filter_rows:,} tasks",
            longrun=milliseconds(many[name]),
            ratio=f"{many[name] / few[name]:.2f}x of {FEW:,} tasks ({milliseconds(few[name])})",
            note=f"p99 of {scale.filter_samples} first pages of 50",
        )
        for name in few
    ]
