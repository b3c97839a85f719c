"""Only a workload that was told to speaks to the API server, and it may do one thing there."""

from __future__ import annotations

import pytest

from tests.chart.helm import CHART, NAMESPACE, Helm
from tests.chart.objects import Objects


@pytest.fixture(scope="module")
def everything(helm: Helm) -> Objects:
    return helm.render(CHART / "ci" / "everything-values.yaml")


def test_by_default_no_pod_has_any_right(default: Objects) -> None:
    assert not {each["kind"] for each in default.all} & {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}


def test_the_only_right_is_to_patch_pods_of_the_namespace(everything: Objects) -> None:
    assert set(everything.of("Role")) == {"longrun-worker"}
    assert everything.one("Role", "longrun-worker")["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["patch"]}
    ]
    assert not everything.of("ClusterRole")


def test_the_right_is_given_to_the_service_account_of_that_workload(everything: Objects) -> None:
    binding = everything.one("RoleBinding", "longrun-worker")
    account = everything.pod("Deployment", "longrun-worker").spec["serviceAccountName"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}]
    assert binding["roleRef"]["name"] == "longrun-worker"
    others = {pod.spec.get("serviceAccountName") for pod in everything.pods if str(pod) != "Deployment/longrun-worker"}
    assert account not in others


def test_its_pod_knows_its_own_name(everything: Objects) -> None:
    fields = {
        each["name"]: each["valueFrom"]["fieldRef"]["fieldPath"]
        for each in everything.pod("Deployment", "longrun-worker").main["env"]
        if "fieldRef" in each.get("valueFrom", {})
    }
    assert fields["POD_NAME"] == "metadata.name"
    assert fields["POD_NAMESPACE"] == "metadata.namespace"
