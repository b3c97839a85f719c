"""How much a run measures."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Counts of jobs and requests, and rounds; the baselines are slower, so they get fewer of them."""

    rounds: int
    longrun_jobs: int
    literal_jobs: int
    drain_jobs: int
    pgbench_s: int
    idle_samples: int
    half_rate_s: int
    streams: int
    idle_s: int


def _drain_jobs(default: int) -> int:
    """`BENCH_JOBS` or the default."""
    return int(os.environ.get("BENCH_JOBS", default))


def full() -> Scale:
    return Scale(
        rounds=3,
        longrun_jobs=10_000,
        literal_jobs=1_500,
        drain_jobs=_drain_jobs(30_000),
        pgbench_s=10,
        idle_samples=300,
        half_rate_s=10,
        streams=50,
        idle_s=10,
    )


def quick() -> Scale:
    """A look at whether everything runs; its figures are rough."""
    return Scale(
        rounds=1,
        longrun_jobs=2_000,
        literal_jobs=300,
        drain_jobs=_drain_jobs(5_000),
        pgbench_s=3,
        idle_samples=50,
        half_rate_s=3,
        streams=20,
        idle_s=2,
    )
