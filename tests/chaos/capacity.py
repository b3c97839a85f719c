"""That no child of a worker is forgotten, and no place in it: as many jobs run at once as there are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tests.chaos.client import Client
from tests.chaos.deployment import CHILDREN, JOBS_PER_CHILD, QUEUE, WORKERS, Deployment
from tests.chaos.load import tick
from tests.harness import Tick
from tests.waiting import until

LONG_S = 600.0
FRESH_S = 2.0
STARTED_S = 60.0


def every_child_works(deployment: Deployment, client: Client) -> None:
    """AssertionError if not all children run a long job at once, though Redis is lost after each that has begun."""
    jobs: list[str] = []
    try:
        for _ in range(len(WORKERS) * CHILDREN):
            jobs.append(client.submit({**tick("test_polite", LONG_S, deployment), "queue": QUEUE}))
            until(lambda: len(_at_work(deployment, jobs)) == len(jobs), STARTED_S, f"{len(jobs)} children work at once")
            for name in WORKERS:
                deployment.nodes[name].redis.cut()
    finally:
        for job_id in jobs:
            client.cancel(job_id)


def every_place_works(deployment: Deployment, client: Client) -> None:
    """AssertionError if not as many jobs that wait run at once as the children have room for."""
    places = len(WORKERS) * CHILDREN * JOBS_PER_CHILD
    jobs = [client.submit({**tick("test_tick_async", LONG_S, deployment), "queue": QUEUE}) for _ in range(places)]
    try:
        until(lambda: len(_begun(deployment, jobs)) == places, STARTED_S, f"{places} jobs run at once")
    finally:
        for job_id in jobs:
            client.cancel(job_id)


def _begun(deployment: Deployment, jobs: Sequence[str]) -> list[dict[str, Any]]:
    return deployment.sql("SELECT id FROM jobs WHERE status = 'RUNNING' AND id = ANY(%s::uuid[])", list(jobs))


def _at_work(deployment: Deployment, jobs: Sequence[str]) -> set[int]:
    """The processes that gave a sign of life of one of these jobs just now."""
    diaries = [diary for job_id in jobs if (diary := deployment.diary(job_id)).exists()]
    signs = [Tick.of(line) for diary in diaries for line in diary.read_text().splitlines()[-1:]]
    return {sign.pid for sign in signs if time.monotonic() - sign.at < FRESH_S}
