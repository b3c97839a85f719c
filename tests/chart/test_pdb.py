"""A drain takes the pods of a workload one by one, and nothing holds it up for good."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.helm import CHART, Helm
from tests.chart.objects import Objects

EVERYTHING = CHART / "ci" / "everything-values.yaml"


def budgets(helm: Helm, **worker: Any) -> set[str]:
    return set(helm.render({"workloads": {"worker": worker}}).of("PodDisruptionBudget"))


def test_each_budget_lets_one_pod_go_at_a_time(default: Objects) -> None:
    specs = [each["spec"] for each in default.of("PodDisruptionBudget").values()]
    assert len(specs) == 3
    for spec in specs:
        assert spec["maxUnavailable"] == 1
        assert "minAvailable" not in spec, "with one pod that would hold up the drain of its node for good"


def test_pods_that_are_not_ready_do_not_hold_up_a_drain(default: Objects) -> None:
    policies = {each["spec"]["unhealthyPodEvictionPolicy"] for each in default.of("PodDisruptionBudget").values()}
    assert policies == {"AlwaysAllow"}


def test_a_budget_selects_its_own_workload_only(helm: Helm) -> None:
    objects = helm.render(EVERYTHING)
    for name, budget in objects.of("PodDisruptionBudget").items():
        wanted = budget["spec"]["selector"]["matchLabels"].items()
        assert [str(pod) for pod in objects.pods if wanted <= pod.metadata["labels"].items()] == [f"Deployment/{name}"]


@pytest.mark.parametrize(
    ("worker", "has_one"),
    [
        ({"replicas": None}, True),
        ({"replicas": 2}, True),
        ({"autoscaling": {"enabled": True}}, True),
        ({"replicas": 1}, False),
        ({"replicas": 0}, False),
        ({"replicas": 2, "pdb": {"enabled": False}}, False),
    ],
)
def test_a_workload_that_may_have_several_pods_has_a_budget(helm: Helm, worker: dict[str, Any], has_one: bool) -> None:
    assert ("longrun-worker" in budgets(helm, **worker)) is has_one


@pytest.mark.parametrize("share", ["25%", 3])
def test_a_budget_can_be_wider(helm: Helm, share: str | int) -> None:
    objects = helm.render({"workloads": {"worker": {"pdb": {"maxUnavailable": share}}}})
    assert objects.one("PodDisruptionBudget", "longrun-worker")["spec"]["maxUnavailable"] == share


@pytest.mark.parametrize("nothing", [0, "0%"])
def test_a_budget_that_no_drain_could_pass_is_refused(helm: Helm, nothing: str | int) -> None:
    assert "pdb/maxUnavailable" in helm.refusal({"workloads": {"worker": {"pdb": {"maxUnavailable": nothing}}}})
