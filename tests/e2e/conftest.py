"""One installation for all tests of the cluster. What they need, and which parts of them are optional:

KUBECONFIG              the cluster; a namespace `longrun-e2e` is made in it and deleted afterwards
LONGRUN_E2E_TAG         the tag of the images, which the cluster can pull or has (default: dev)
LONGRUN_E2E_NEXT_TAG    the tag of images with one migration more, made by `make e2e-next`: upgrade and rollback
LONGRUN_E2E_URL         where the ingress controller answers (default: http://127.0.0.1)
LONGRUN_E2E_GATEWAY     NAMESPACE/NAME of a Gateway for the HTTPRoute
LONGRUN_E2E_OUTSIDE     a command prefix that runs a command at a public address (192.88.99.10), which is also a
                        private neighbour (10.66.0.10) and a metadata service (169.254.169.254)
LONGRUN_E2E_KEEP        set: leave the namespace behind, for a look, and use it again
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator

import httpx
import pytest

from tests.e2e.cluster import Cluster, kubectl
from tests.e2e.outside import SITE
from tests.e2e.release import Release

NAMESPACE = "longrun-e2e"
SMALL = {
    "workloads.api.replicas": "2",
    "postgres.persistence.size": "1Gi",
    "jaeger.persistence.size": "1Gi",
    # the make-believe outside has an address that is reserved on the real internet
    "workloads.scraper-worker.env.LONGRUN_FETCH_ALLOW": f"{SITE}:80",
}
Record = Callable[[str, object], None]
_figures: list[str] = []


def setting(name: str) -> str:
    """An optional setting; the test is skipped where it is not set."""
    value = os.environ.get(name)
    if not value:
        pytest.skip(f"{name} is not set: see tests/e2e/conftest.py")
    return value


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A namespace of the cluster, empty at first."""
    setting("KUBECONFIG")
    for program in ("kubectl", "helm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on the PATH")
    cluster = Cluster.connect(NAMESPACE)
    keep = bool(os.environ.get("LONGRUN_E2E_KEEP"))
    if not (keep and cluster.exists()):
        cluster.create()
    yield cluster
    if not keep:
        cluster.remove()


@pytest.fixture(scope="session")
def release(cluster: Cluster) -> Release:
    """Longrun, installed by the chart with the values for kind."""
    release = Release(
        cluster, os.environ.get("LONGRUN_E2E_URL", "http://127.0.0.1"), os.environ.get("LONGRUN_E2E_TAG", "dev")
    )
    release.settings.update(SMALL)
    _figures.append(f"helm install --wait on an empty namespace: {release.upgrade():.1f} s")
    return release


@pytest.fixture
def outside(release: Release) -> Iterator[httpx.Client]:
    """A client outside the cluster."""
    with release.client() as client:
        yield client


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Print a figure at the end of the run."""

    def remember(what: str, figure: object) -> None:
        shown = f"{figure:.1f}" if isinstance(figure, float) else str(figure)
        _figures.append(f"{what}: {shown}")

    return remember


def has_crd(name: str) -> bool:
    """Whether the cluster knows a custom resource."""
    return name in kubectl("get", "crd", "-o", "name")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures, after the results."""
    for figure in _figures:
        terminalreporter.write_line(f"measured: {figure}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the cluster looks like when a test failed."""
    report = yield
    release = getattr(item, "funcargs", {}).get("release")
    if report.failed and release is not None:
        report.sections.append(("cluster", release.cluster.picture()))
    return report
