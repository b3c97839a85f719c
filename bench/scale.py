"""The size of a run."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Numbers of jobs, requests and rounds. The baselines are slower, so they get fewer."""

    rounds: int
    longrun_jobs: int
    literal_jobs: int
    drain_jobs: int
    pgbench_s: int
    idle_samples: int
    half_rate_s: int
    streams: int
    idle_readers: int
    idle_s: int
    claims: int
    finished_rows: int
    waiting_rows: int
    flushed_jobs: int
    many_jobs: int
    waiting_jobs: int
    pages: int
    stops: int
    backlog: int
    queues: int
    filter_rows: int
    filter_samples: int
    rate_limit_s: int
    deliveries: int


def _drain_jobs(default: int) -> int:
    """`BENCH_JOBS` or the default."""
    return int(os.environ.get("BENCH_JOBS", default))


def _filter_rows(default: int) -> int:
    """`BENCH_FILTER_ROWS` or the default."""
    return int(os.environ.get("BENCH_FILTER_ROWS", default))


def full() -> Scale:
    """The run that docs/performance.md shows."""
    return Scale(
        rounds=3,
        longrun_jobs=10_000,
        literal_jobs=1_500,
        drain_jobs=_drain_jobs(30_000),
        pgbench_s=10,
        idle_samples=300,
        half_rate_s=10,
        streams=50,
        idle_readers=10_000,
        idle_s=10,
        claims=1_000,
        finished_rows=5_000_000,
        waiting_rows=1_000_000,
        flushed_jobs=10_000,
        many_jobs=50_000,
        waiting_jobs=2_000,
        pages=1_000,
        stops=20,
        backlog=100_000,
        queues=10_000,
        filter_rows=_filter_rows(10_000_000),
        filter_samples=100,
        rate_limit_s=60,
        deliveries=10_000,
    )


def quick() -> Scale:
    """A small run that shows whether every measure works; its figures are rough."""
    return Scale(
        rounds=1,
        longrun_jobs=2_000,
        literal_jobs=300,
        drain_jobs=_drain_jobs(5_000),
        pgbench_s=3,
        idle_samples=50,
        half_rate_s=3,
        streams=20,
        idle_readers=500,
        idle_s=2,
        claims=200,
        finished_rows=100_000,
        waiting_rows=20_000,
        flushed_jobs=2_000,
        many_jobs=5_000,
        waiting_jobs=600,
        pages=300,
        stops=3,
        backlog=20_000,
        queues=2_000,
        filter_rows=_filter_rows(200_000),
        filter_samples=30,
        rate_limit_s=10,
        deliveries=1_000,
    )
