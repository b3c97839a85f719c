"""What a run does to its neighbours in the same child: one that is cancelled, and one that blocks the event loop."""

from __future__ import annotations

import http.client
import time

from bench.figures import Row
from bench.measures.lane_pickup import ENDED, fill, post, until
from bench.scale import Scale
from bench.stage import Running, Stage, say
from bench.systems import CHILDREN, LANES

RUNS = 200
NEIGHBOURS = 20
BLOCKED_S = 3.0
RECEIPT = "SELECT cancel_stopped_at IS NOT NULL FROM jobs WHERE id = %s"
RECEIPTS = """
SELECT extract(epoch FROM cancel_stopped_at - cancel_requested_at)::float8, cancel_method FROM jobs
WHERE status = 'CANCELLED'
"""
DISTURBED = "SELECT count(*) FROM jobs WHERE NOT id = ANY(%s::uuid[]) AND (status <> 'RUNNING' OR fence <> 1)"
NAMED = """
SELECT coalesce(array_agg(DISTINCT job_id::text), '{}') FROM job_events
WHERE kind = 'log' AND data ->> 'level' = 'warning' AND data::text LIKE '%%block_the_loop%%'
"""
LOST = "SELECT count(*) FROM workers WHERE state = 'dead'"


def cancel(running: Running, job_id: str) -> None:
    """DELETE a task, and wait until its receipt is complete."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    try:
        connection.request("DELETE", f"/tasks/{job_id}")
        connection.getresponse().read()
    finally:
        connection.close()
    until(running, RECEIPT, job_id)


def cancels(stage: Stage, count: int) -> Row:
    """Cancel `count` of 200 async runs, one after the other."""
    env = {"LONGRUN_JOBS_PER_CHILD": str(RUNS // CHILDREN)}
    with stage.run(LANES, worker_env=env) as running:
        running.database.execute("TRUNCATE jobs CASCADE")
        ids = fill(running, RUNS)
        for job_id in ids[:count]:
            cancel(running, job_id)
        disturbed = running.database.value(DISTURBED, ids[:count])
        receipts = running.database.rows(RECEIPTS)
    longest = max(seconds for seconds, _ in receipts)
    methods = ", ".join(sorted({method for _, method in receipts}))
    return Row(
        what=f"cancel of one of {RUNS} async runs: receipt after",
        longrun=f"{longest:.2f} s at most ({methods})",
        ratio=f"{disturbed} others disturbed",
        note=f"{count} cancels, one after the other; disturbed: ended, or claimed again",
    )


def blocked(stage: Stage, rounds: int) -> Row:
    """Block the event loop of a child with 20 other runs, again and again: is the job named that did it?"""
    env = {"LONGRUN_WORKER_CONCURRENCY": "1", "LONGRUN_JOBS_PER_CHILD": str(NEIGHBOURS * 2)}
    right = 0
    with stage.run(LANES, worker_env=env) as running:
        running.database.execute("TRUNCATE jobs CASCADE")
        fill(running, NEIGHBOURS)
        for number in range(1, rounds + 1):
            before = set(running.database.value(NAMED))
            job_id = post(running, "block_the_loop", {"seconds": BLOCKED_S})
            until(running, ENDED, job_id)
            time.sleep(1.0)
            named = set(running.database.value(NAMED)) - before
            right += named == {job_id}
            say(f"  round {number}: {'right' if named == {job_id} else f'named {sorted(named)}'}")
        lost = running.database.value(LOST)
        again = running.database.value("SELECT count(*) FROM jobs WHERE fence > 1")
    return Row(
        what=f"event loop blocked for {BLOCKED_S:g} s: the right job named",
        longrun=f"{right} of {rounds}",
        ratio=f"{lost} leases lost, {again} runs disturbed",
        note=f"beside {NEIGHBOURS} other async runs in the same child; named in its own log, with the frame",
    )


def measure(stage: Stage, scale: Scale) -> list[Row]:
    """Two rows."""
    say(f"lane_stops: {scale.stops} cancels among {RUNS} async runs")
    cancelled = cancels(stage, scale.stops)
    say(f"  {cancelled.longrun}, {cancelled.ratio}")
    say(f"lane_stops: an event loop blocked {scale.stops} times")
    return [cancelled, blocked(stage, scale.stops)]
