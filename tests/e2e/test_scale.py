"""Workers are scaled by hand under load: throughput follows, nothing is lost, idle pods leave first."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.conftest import Record
from tests.e2e.release import NAME, Release
from tests.waiting import until

WORKER = f"{NAME}-worker"
WINDOW_S = 15


def finished(release: Release) -> int:
    return int(release.sql("SELECT count(*) FROM jobs WHERE task_type = 'sleep' AND status = 'SUCCESS'")[0]["count"])


def rate(release: Release) -> float:
    """Jobs a second that end now."""
    before, started = finished(release), time.monotonic()
    time.sleep(WINDOW_S)  # what is measured
    return (finished(release) - before) / (time.monotonic() - started)


@pytest.fixture
def priced(release: Release) -> Iterator[Release]:
    """Pods that say what deleting them costs, and whose children run one job each, as if it were work for a core."""
    release.upgrade(
        workloads__worker__podDeletionCost__enabled="true", workloads__worker__env__LONGRUN_JOBS_PER_CHILD="1"
    )
    yield release
    del release.settings["workloads.worker.env.LONGRUN_JOBS_PER_CHILD"]
    release.upgrade()


@pytest.mark.timeout(600)
def test_throughput_follows_the_replicas_and_a_busy_pod_outlives_the_idle_ones(
    priced: Release, outside: httpx.Client, record: Record
) -> None:
    release = priced
    tasks = [release.submit(outside, "sleep", {"seconds": 1, "steps": 1}) for _ in range(300)]
    with_one = rate(release)
    release.cluster.scale(WORKER, 4)
    record("4 workers ready after kubectl scale, s", release.cluster.await_ready("worker", 4))
    with_four = rate(release)
    record("sleep(1) jobs/s with 1 and with 4 workers", f"{with_one:.1f} and {with_four:.1f}")
    assert with_four > 2.5 * with_one
    release.all_kept(tasks)

    long_job = release.submit(outside, "sleep", {"seconds": 45})
    busy = busy_pod(release, long_job)
    until_priced(release, busy)
    release.cluster.scale(WORKER, 1)
    release.cluster.await_ready("worker", 1)
    assert release.cluster.ready("worker") == [busy]
    assert release.outcome(outside, long_job)["attempt"] == 1
    release.all_kept([long_job])


def busy_pod(release: Release, task_id: str) -> str:
    query = "SELECT host FROM workers JOIN jobs ON workers.id = jobs.worker_id WHERE jobs.id = %s"
    return str(until(lambda: release.sql(query, task_id), what=f"{task_id} runs")[0]["host"])


def until_priced(release: Release, busy: str, within_s: float = 30) -> None:
    def costs() -> dict[str, str | None]:
        return {
            pod.metadata.name: (pod.metadata.annotations or {}).get("controller.kubernetes.io/pod-deletion-cost")
            for pod in release.cluster.pods("worker")
        }

    def priced() -> bool:
        found = costs()
        return int(found.pop(busy) or 0) > 0 and set(found.values()) == {"0"}

    until(priced, within_s, lambda: f"{busy} costs more than the others: {costs()}", poll_s=0.5)
