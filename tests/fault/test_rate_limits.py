"""Rate limits while workers die and Redis forgets everything: no window has too many starts, and no job is lost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import redis

from longrun_local.valkey import EmbeddedValkey
from tests.harness import Harness
from tests.invariants import check
from tests.thorough import cases
from tests.waiting import until

pytestmark = pytest.mark.fault

MAX_STARTS = 3
WINDOW_S = 2.0
JOBS = 15
STARTS = """
SELECT extract(epoch FROM at)::float8 AS at FROM job_events
WHERE job_id = ANY(CAST(%s AS uuid[])) AND kind = 'state' AND data ->> 'status' = 'RUNNING' ORDER BY at
"""
LONG_S = 120


def starts(longrun: Harness, jobs: Sequence[str]) -> list[float]:
    return [float(row["at"]) for row in longrun.sql(STARTS, list(jobs))]


@pytest.mark.parametrize("kind", cases(["rate key", "queue"]))
def test_a_limit_holds_and_its_jobs_go_on_when_a_worker_dies_and_redis_is_emptied(
    apart: Harness, redis_server: EmbeddedValkey, kind: str
) -> None:
    rate = {"max_starts": MAX_STARTS, "window_s": WINDOW_S}
    if kind == "queue":
        apart.api.patch(f"/queues/{apart.queue}", json={"rate_limit": rate}).raise_for_status()
    else:
        apart.api.put(f"/rate-limits/{apart.queue}", json=rate).raise_for_status()
    key = {"rate_key": apart.queue} if kind == "rate key" else {}
    doomed, _heir = apart.worker("doomed"), apart.worker("heir")
    jobs = [apart.submit(input={"n": n}, **key) for n in range(JOBS)]
    until(lambda: len(starts(apart, jobs)) >= MAX_STARTS, what="the first window is full")
    doomed.kill_group()
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    apart.all_reach(jobs, "SUCCESS", LONG_S)
    seen = starts(apart, jobs)
    assert len(seen) >= JOBS
    for first, beyond in zip(seen, seen[MAX_STARTS:], strict=False):
        assert beyond - first >= WINDOW_S, "more than the limit within a window"
    check(apart, jobs)
