"""The chart tests need `helm` on the PATH (helm, helm4, helm3: each version found is used), and no cluster."""

from __future__ import annotations

import pytest

from tests.chart.helm import CASES, Helm, found
from tests.chart.objects import Objects

NO_HELM = "no helm on the PATH: install Helm 3.18 or newer, or Helm 4 (https://helm.sh/docs/intro/install)"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `each_helm` runs with every Helm found, one that takes `case` with every file in ci/."""
    if "each_helm" in metafunc.fixturenames:
        none = pytest.param(None, marks=pytest.mark.skip(reason=NO_HELM))
        metafunc.parametrize("each_helm", found() or [none], ids=str)
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", CASES, ids=lambda case: case.stem.removesuffix("-values"))


@pytest.fixture(scope="session")
def helm() -> Helm:
    """The newest Helm found."""
    if not found():
        pytest.skip(NO_HELM)
    return found()[0]


@pytest.fixture(scope="session")
def default(helm: Helm) -> Objects:
    """What an installation without any values is."""
    return helm.render()
