"""KEDA asks PostgreSQL how much work there is: workers come from none to some, and leave again."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.conftest import Record, has_crd
from tests.e2e.release import Release
from tests.waiting import until

PREFIX = "workloads.worker.autoscaling"


@pytest.fixture
def by_keda(release: Release) -> Iterator[Release]:
    """The worker scaled between 0 and 3."""
    if not has_crd("scaledobjects.keda.sh"):
        pytest.skip("the cluster has no KEDA")
    kind = {"enabled": "true", "kind": "keda", "minReplicas": "0", "maxReplicas": "3"}
    pace = {"pollingInterval": "2", "cooldownPeriod": "10", "behavior.scaleDown.stabilizationWindowSeconds": "5"}
    settings = {f"{PREFIX}.{key}": value for key, value in {**kind, **pace}.items()}
    settings["workloads.worker.env.LONGRUN_JOBS_PER_CHILD"] = "1"  # else one worker has room for all jobs
    release.upgrade(**settings)
    yield release
    for key in settings:
        del release.settings[key]
    release.upgrade()
    release.cluster.await_ready("worker", 1)


@pytest.mark.timeout(600)
def test_workers_come_with_the_work_and_leave_after_it(by_keda: Release, outside: httpx.Client, record: Record) -> None:
    release = by_keda
    release.cluster.await_ready("worker", 0)
    started = time.monotonic()
    tasks = [release.submit(outside, "sleep", {"seconds": 5, "steps": 1}) for _ in range(40)]
    until(lambda: release.cluster.ready("worker"), 120, release.cluster.picture, poll_s=0.2)
    record("KEDA: 0 to 1 worker ready, s", time.monotonic() - started)
    release.cluster.await_ready("worker", 3)
    record("KEDA: 0 to 3 workers ready, s", time.monotonic() - started)
    release.all_kept(tasks)
    record("KEDA: 3 workers to 0 after the last job, s", release.cluster.await_ready("worker", 0))
