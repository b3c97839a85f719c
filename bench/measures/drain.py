"""Drain: jobs are queued while there is no worker, then a worker starts.

Longrun's jobs are queued by its multi-row INSERT (`jobcore.store.jobs.insert`), literal's by one INSERT and one Celery
message each. The rate is from the first `started_at` to the last `finished_at`, by the database's clock; "with start"
counts from the start of the worker's process.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from celery import Celery
from uuid_utils.compat import uuid7

from bench import pgbench
from bench.figures import Row, rate, ratio
from bench.scale import Scale
from bench.stage import Running, Stage, say
from bench.systems import LITERAL, LONGRUN, System
from jobcore.models import NewJob
from jobcore.store import jobs as store
from jobcore.store.database import Database

BATCH = 1_000
ECHO = {"hello": "world"}
SPAN = "SELECT extract(epoch FROM max(finished_at) - min(started_at))::float8 FROM jobs"
INSERT_LITERAL = """
INSERT INTO jobs (id, task_type, status, input)
SELECT gen_random_uuid(), 'echo', 'PENDING', '{"hello": "world"}' FROM generate_series(1, %s) RETURNING id
"""


@dataclass(frozen=True)
class Drain:
    """Jobs per second, from the first start of a job and from the start of the worker's process."""

    rate: float
    with_start: float


def queue_in_longrun(
    running: Running,
    jobs: int,
    task_type: str = "echo",
    input: Mapping[str, Any] = ECHO,
    queue: str = "default",
) -> None:
    """Insert jobs without an API, 1,000 per commit."""
    database = Database(running.database.url, name="bench")
    for first in range(0, jobs, BATCH):
        count = min(BATCH, jobs - first)
        batch = [NewJob(uuid7(), task_type, queue, input, max_attempts=3) for _ in range(count)]
        database.call(store.insert, batch)
    database.close()


def queue_in_literal(running: Running, jobs: int) -> None:
    celery = Celery(broker=running.redis_url)
    for (job_id,) in running.database.rows(INSERT_LITERAL, jobs):
        celery.send_task("run_job", args=[str(job_id)], task_id=str(job_id))
    celery.close()


def drain(stage: Stage, system: System, jobs: int, task_type: str = "echo", input: Mapping[str, Any] = ECHO) -> Drain:
    """Queue `jobs` jobs (literal's are always `echo`), start a worker and wait for the last job."""
    with stage.run(system, worker=False, api=False) as running:
        if system is LITERAL:
            queue_in_literal(running, jobs)
        else:
            queue_in_longrun(running, jobs, task_type, input)
        running.database.execute("CHECKPOINT")
        started = time.time()
        running.start_worker()
        ended = running.finish(poll_s=0.2)
        result = Drain(jobs / running.database.value(SPAN), jobs / (ended - started))
    say(f"  {result.rate:,.0f} jobs/s; with the worker's start {result.with_start:,.0f}")
    return result


def measure(stage: Stage, scale: Scale) -> list[Row]:
    commits: list[float] = []
    longrun: list[Drain] = []
    literal: list[Drain] = []
    for number in range(1, scale.rounds + 1):
        say(f"drain: round {number} of {scale.rounds}, pgbench, three commits a job")
        commits.append(pgbench.jobs_per_second(stage, scale.pgbench_s))
        say(f"  {commits[-1]:,.0f} jobs/s")
        say(f"drain: round {number} of {scale.rounds}, longrun, {scale.drain_jobs:,} queued jobs")
        longrun.append(drain(stage, LONGRUN, scale.drain_jobs))
        say(f"drain: round {number} of {scale.rounds}, literal, {scale.literal_jobs:,} queued jobs")
        literal.append(drain(stage, LITERAL, scale.literal_jobs))
    rates = [d.rate for d in longrun]
    return [
        Row(
            what="drain of queued echo jobs, jobs a second",
            longrun=rate(rates),
            literal=rate([d.rate for d in literal]),
            pgbench=rate(commits),
            ratio=f"{ratio(rates, commits)} pgbench, {ratio(rates, [d.rate for d in literal])} literal",
            note=f"{scale.drain_jobs:,} and {scale.literal_jobs:,} jobs, first RUNNING to last finished; "
            f"pgbench: 3 commits a job, c={pgbench.CLIENTS}",
        ),
        Row(
            what="  with the worker's start",
            longrun=rate([d.with_start for d in longrun]),
            literal=rate([d.with_start for d in literal]),
            ratio=f"{ratio([d.with_start for d in longrun], commits)} pgbench",
            note="from the start of the worker's process",
        ),
    ]
