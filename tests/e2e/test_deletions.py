"""Pods of every kind die under load, and Redis loses its disk: no accepted job is lost."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.e2e.cluster import kubectl
from tests.e2e.conftest import Record
from tests.e2e.load import Load
from tests.e2e.release import NAME, Release

QUEUED = 5_000
CLIENTS = 16
STORES = {"postgres", "redis", "jaeger"}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("component", ["api", "worker", "scraper-worker", "redis", "jaeger", "postgres"])
def test_no_job_is_lost_when_a_pod_is_deleted(release: Release, record: Record, component: str) -> None:
    with (
        Load(release, rate=10) as quick,
        Load(release, rate=0.5, task_type="sleep", input={"seconds": 3}) as slow,
    ):
        quick.go_on()
        count = len(release.cluster.ready(component))
        doomed = release.cluster.delete_pod(component, grace_s=0 if component in STORES else None)
        back_s = release.cluster.await_replaced(component, count, doomed)
        quick.go_on()
        seen = len(quick.accepted)
        while len(quick.accepted) < seen + 10:
            quick.go_on(0.2)
    refused = len(quick.failures) + len(slow.failures)
    drained_s = release.all_kept(quick.accepted + slow.accepted)
    record(f"a pod of {component} deleted: ready again after, s", back_s)
    record(f"a pod of {component} deleted: requests refused, of", f"{refused}, {2 * len(quick.accepted)}")
    record(f"a pod of {component} deleted: last job ended after the load, s", drained_s)
    assert component == "postgres" or not refused, quick.failures + slow.failures


@pytest.mark.timeout(600)
def test_five_thousand_queued_jobs_outlive_redis_and_its_disk(release: Release, record: Record) -> None:
    release.cluster.scale(f"{NAME}-worker", 0)
    release.cluster.await_ready("worker", 0)
    try:
        tasks = submit_many(release, QUEUED)
        namespace = ("-n", release.cluster.namespace)
        claims = kubectl(*namespace, "get", "pvc", "-l", "app.kubernetes.io/component=redis", "-o", "name").split()
        assert len(claims) == 1
        kubectl(*namespace, "delete", *claims, "--wait=false")
        doomed = release.cluster.delete_pod("redis", grace_s=0)
        release.cluster.await_replaced("redis", 1, doomed)
    finally:
        started = time.monotonic()
        release.cluster.scale(f"{NAME}-worker", 1)
    release.all_kept(tasks)
    record(f"Redis and its volume deleted: {QUEUED} queued jobs ended after, s", time.monotonic() - started)


@pytest.mark.timeout(600)
def test_a_drained_node_hands_its_jobs_back_and_nothing_is_lost(
    release: Release, outside: httpx.Client, record: Record
) -> None:
    tasks = [release.submit(outside, "sleep", {"seconds": 60}) for _ in range(2)]
    node = release.cluster.pods("worker")[0].spec.node_name
    started = time.monotonic()
    kubectl("cordon", node)
    try:
        for component in ("worker", "scraper-worker"):
            for pod in release.cluster.ready(component):
                release.cluster.evict(pod)
        record("workers drained off the node after, s", time.monotonic() - started)
    finally:
        kubectl("uncordon", node)
    release.cluster.await_ready("worker", 1)
    release.all_kept(tasks)
    assert all(release.outcome(outside, task)["attempt"] == 1 for task in tasks), "a hand-back gives the try back"


def submit_many(release: Release, count: int) -> list[str]:
    """Submit so many tasks over a few clients, one a thread; their ids."""

    def submit(share: range) -> list[str]:
        with release.client() as client:
            return [release.submit(client, "echo", {"n": n}) for n in share]

    with ThreadPoolExecutor(CLIENTS) as clients:
        return [
            task for tasks in clients.map(submit, [range(n, count, CLIENTS) for n in range(CLIENTS)]) for task in tasks
        ]
