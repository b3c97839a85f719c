"""One command installs everything, one command shows that it works."""

from __future__ import annotations

import json
import time

from tests.e2e.cluster import kubectl
from tests.e2e.conftest import Record
from tests.e2e.release import NAME, Release

COMPONENTS = ("api", "worker", "scraper-worker", "postgres", "redis", "jaeger")


def test_helm_test_submits_a_real_job_and_sees_its_end(release: Release, record: Record) -> None:
    started = time.monotonic()
    assert "Succeeded" in release.helm("test", NAME)
    record("helm test, s", time.monotonic() - started)
    assert release.sql("SELECT count(*) FROM jobs WHERE status = 'SUCCESS'")[0]["count"] >= 1


def test_every_component_runs_under_the_restricted_standard(release: Release) -> None:
    namespace = kubectl("get", "namespace", release.cluster.namespace, "-o", "jsonpath={.metadata.labels}")
    assert json.loads(namespace)["pod-security.kubernetes.io/enforce"] == "restricted"
    assert [name for name in COMPONENTS if not release.cluster.ready(name)] == []


def test_an_upgrade_changes_no_secret_and_restarts_nothing(release: Release) -> None:
    def state() -> tuple[list[str], list[str]]:
        secrets = [release.cluster.secret(f"{NAME}-{name}", "url") for name in ("postgres", "redis")]
        pods = sorted(pod.metadata.uid for name in COMPONENTS for pod in release.cluster.pods(name))
        return secrets, pods

    before = state()
    release.upgrade()
    assert state() == before
