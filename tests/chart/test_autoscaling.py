"""Who decides how many pods there are, and that it counts the right jobs."""

from __future__ import annotations

import re
from typing import Any

import pytest

from jobcore.settings import WorkerSettings
from tests.chart.helm import Helm
from tests.chart.objects import Object, Objects


def scaled(helm: Helm, name: str = "worker", **given: Any) -> Objects:
    """A release with one workload's autoscaling switched on."""
    workload = given.pop("workload", {})
    return helm.render({"workloads": {name: {**workload, "autoscaling": {"enabled": True, **given}}}})


def keda(objects: Objects, name: str = "longrun-worker") -> Object:
    spec = objects.one("ScaledObject", name)["spec"]
    assert isinstance(spec, dict)
    return spec


def jobs_a_pod(objects: Objects) -> str:
    (trigger,) = keda(objects)["triggers"]
    return str(trigger["metadata"]["targetQueryValue"])


def test_nothing_scales_by_itself_unless_asked_to(default: Objects) -> None:
    kinds = {each["kind"] for each in default.all}
    assert not kinds & {"HorizontalPodAutoscaler", "ScaledObject", "TriggerAuthentication"}


@pytest.mark.parametrize("kind", ["hpa", "keda"])
def test_an_autoscaler_has_a_deployment_that_leaves_replicas_to_it(helm: Helm, kind: str) -> None:
    objects = scaled(helm, kind=kind)
    made = objects.one({"hpa": "HorizontalPodAutoscaler", "keda": "ScaledObject"}[kind], "longrun-worker")
    target = objects.one("Deployment", made["spec"]["scaleTargetRef"]["name"])
    assert "replicas" not in target["spec"]


def test_replicas_are_left_to_kubectl_scale_by_default(default: Objects) -> None:
    assert not [name for name, each in default.of("Deployment").items() if "replicas" in each["spec"]]


def test_hpa_watches_the_cpu_of_the_workloads_own_container(helm: Helm) -> None:
    objects = scaled(helm, "api", kind="hpa", cpuUtilization=60)
    (metric,) = objects.one("HorizontalPodAutoscaler", "longrun-api")["spec"]["metrics"]
    assert metric["type"] == "ContainerResource", "the collector beside it would thin the figure out"
    assert metric["containerResource"]["container"] == objects.pod("Deployment", "longrun-api").main["name"]
    assert metric["containerResource"]["target"] == {"type": "Utilization", "averageUtilization": 60}


def test_hpa_takes_other_metrics_instead(helm: Helm) -> None:
    metric = {
        "type": "Pods",
        "pods": {"metric": {"name": "requests"}, "target": {"type": "AverageValue", "averageValue": "10"}},
    }
    objects = scaled(helm, "api", kind="hpa", metrics=[metric])
    assert objects.one("HorizontalPodAutoscaler", "longrun-api")["spec"]["metrics"] == [metric]


def test_bounds_and_pace_reach_the_autoscaler(helm: Helm) -> None:
    pace = {"scaleDown": {"stabilizationWindowSeconds": 7}}
    hpa = scaled(helm, kind="hpa", minReplicas=2, maxReplicas=5, behavior=pace)
    spec = hpa.one("HorizontalPodAutoscaler", "longrun-worker")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"], spec["behavior"]) == (2, 5, pace)
    spec = keda(scaled(helm, minReplicas=0, maxReplicas=5, pollingInterval=3, cooldownPeriod=4, behavior=pace))
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (0, 5)
    assert (spec["pollingInterval"], spec["cooldownPeriod"]) == (3, 4)
    assert spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == pace


def test_a_workload_at_zero_comes_back_when_keda_is_switched_off(helm: Helm) -> None:
    assert keda(scaled(helm))["advanced"]["restoreToOriginalReplicaCount"] is True


def test_keda_reads_the_address_of_the_database_from_the_same_secret_as_the_workload(helm: Helm) -> None:
    objects = scaled(helm)
    (trigger,) = keda(objects)["triggers"]
    login = objects.one("TriggerAuthentication", trigger["authenticationRef"]["name"])
    (database,) = [
        each for each in objects.pod("Deployment", "longrun-worker").main["env"] if each["name"] == "DATABASE_URL"
    ]
    secret = database["valueFrom"]["secretKeyRef"]
    assert login["spec"]["secretTargetRef"] == [{"parameter": "connection", **secret}]


def test_one_pod_is_meant_for_as_many_jobs_as_it_runs_at_once(helm: Helm) -> None:
    assert jobs_a_pod(scaled(helm)) == str(WorkerSettings.model_fields["worker_concurrency"].default)
    everywhere = {"config": {"LONGRUN_WORKER_CONCURRENCY": 3}}
    own = {"env": {"LONGRUN_WORKER_CONCURRENCY": "8"}}
    enabled = {"enabled": True}
    assert jobs_a_pod(helm.render({**everywhere, "workloads": {"worker": {"autoscaling": enabled}}})) == "3"
    assert jobs_a_pod(helm.render({**everywhere, "workloads": {"worker": {**own, "autoscaling": enabled}}})) == "8"
    assert jobs_a_pod(scaled(helm, workload=own, jobsPerReplica=50)) == "50"


def test_the_jobs_of_a_child_are_those_that_the_workers_setting_says(helm: Helm) -> None:
    def shared(objects: Objects) -> str:
        (trigger,) = keda(objects)["triggers"]
        (number,) = re.findall(r"double precision\) / (\d+)", str(trigger["metadata"]["query"]))
        return str(number)

    default = getattr(WorkerSettings.model_fields.get("jobs_per_child"), "default", 32)
    assert shared(scaled(helm)) == str(default)
    assert shared(scaled(helm, workload={"env": {"LONGRUN_JOBS_PER_CHILD": "100"}})) == "100"
    everywhere = {"config": {"LONGRUN_JOBS_PER_CHILD": 7}, "workloads": {"worker": {"autoscaling": {"enabled": True}}}}
    assert shared(helm.render(everywhere)) == "7"


@pytest.mark.parametrize(
    ("workload", "autoscaling", "advice"),
    [
        (
            {"replicas": 3},
            {},
            "workloads.worker.replicas (3) and workloads.worker.autoscaling.enabled exclude each other",
        ),
        ({}, {"minReplicas": 9, "maxReplicas": 3}, "minReplicas (9) is more than maxReplicas (3)"),
        ({"queues": []}, {"kind": "keda"}, "set workloads.worker.queues, or use kind: hpa"),
        ({}, {"kind": "keda", "metrics": [{"type": "Pods"}]}, "workloads.worker.autoscaling.metrics is for kind: hpa"),
        ({}, {"kind": "hpa", "minReplicas": 0}, "use kind: keda to go to 0"),
        ({"resources": {}}, {"kind": "hpa"}, "set workloads.worker.resources.requests.cpu"),
        ({}, {"kind": "vpa"}, "autoscaling/kind"),
    ],
)
def test_mistakes_are_refused_with_advice(
    helm: Helm, workload: dict[str, Any], autoscaling: dict[str, Any], advice: str
) -> None:
    said = helm.refusal({"workloads": {"worker": {**workload, "autoscaling": {"enabled": True, **autoscaling}}}})
    assert advice in said.replace("workloads.worker.autoscaling.kind", "workloads/worker/autoscaling/kind")
