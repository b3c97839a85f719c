"""Each values file in charts/longrun/ci, with each Helm: what holds however the chart is installed."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]
import pytest

from tests.chart.helm import CHART, Helm
from tests.chart.objects import Object, Objects, Pod
from tests.thorough import cases

KUBERNETES = ["1.37", "1.29", "1.33"]
"""The newest version known, the oldest that Chart.yaml admits, and one between."""
DEFINED_ELSEWHERE = {
    "HTTPRoute",
    "ScaledObject",
    "TriggerAuthentication",
    "PodMonitor",
    "ServiceMonitor",
    "PrometheusRule",
}
"""Kinds of Gateway API, KEDA and Prometheus Operator: no part of Kubernetes."""
RECOMMENDED = {"name", "instance", "component", "version", "part-of", "managed-by"}


@cache
def rendered(helm: Helm, case: Path, kubernetes: str = "1.34") -> Objects:
    return helm.render(case, "--kube-version", kubernetes)


@pytest.fixture
def objects(helm: Helm, case: Path) -> Objects:
    return rendered(helm, case)


def offenders(pods: list[Pod]) -> list[str]:
    return [str(pod) for pod in pods]


def test_lint_finds_nothing(each_helm: Helm, case: Path) -> None:
    done = each_helm.run("lint", "--strict", str(CHART), values=case)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kubernetes", cases(KUBERNETES))
def test_kubernetes_knows_every_field(helm: Helm, case: Path, kubernetes: str) -> None:
    known = [each for each in rendered(helm, case, kubernetes).all if each["kind"] not in DEFINED_ELSEWHERE]
    assert known
    for each in known:
        kubernetes_validate.validate(each, kubernetes, strict=True)  # it raises ValidationError


def test_no_name_is_given_twice(objects: Objects) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in objects.all]
    assert len(names) == len(set(names))


def test_images_have_a_fixed_version(objects: Objects) -> None:
    for image in {container["image"] for pod in objects.pods for container in pod.containers}:
        tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
        assert tag not in ("", "latest"), image


def test_pods_are_admitted_by_the_restricted_standard(objects: Objects) -> None:
    for pod in objects.pods:
        security = pod.spec["securityContext"]
        assert security["runAsNonRoot"] is True, pod
        assert security["runAsUser"] > 0, pod
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, pod
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.spec.keys(), pod
        allowed = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret", "downwardAPI"}
        assert all(volume.keys() <= {"name", *allowed} for volume in pod.spec.get("volumes", [])), pod
        for container in pod.containers:
            restricted(pod, container)


def restricted(pod: Pod, container: Object) -> None:
    security = container["securityContext"]
    assert security["allowPrivilegeEscalation"] is False, (pod, container["name"])
    assert security["capabilities"] == {"drop": ["ALL"]}, (pod, container["name"])
    assert "runAsUser" not in security, (pod, container["name"])
    assert not any("hostPort" in port for port in container.get("ports", [])), (pod, container["name"])


def test_containers_cannot_write_to_their_image(objects: Objects) -> None:
    for pod in objects.pods:
        assert all(each["securityContext"]["readOnlyRootFilesystem"] is True for each in pod.containers), pod


def test_every_container_has_requests_and_a_memory_limit(objects: Objects) -> None:
    for pod in objects.pods:
        for container in pod.containers:
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}, (pod, container["name"])
            assert container["resources"]["limits"].keys() >= {"cpu", "memory"}, (pod, container["name"])


def test_every_scratch_volume_has_a_size_limit(objects: Objects) -> None:
    for pod in objects.pods:
        scratch = [volume for volume in pod.spec.get("volumes", []) if "emptyDir" in volume]
        assert all("sizeLimit" in volume["emptyDir"] for volume in scratch), pod


def test_no_pod_gets_variables_of_its_neighbours_services(objects: Objects) -> None:
    assert not offenders([pod for pod in objects.pods if pod.spec["enableServiceLinks"] is not False])


def test_only_pods_that_note_their_deletion_cost_speak_to_the_api_server(objects: Objects) -> None:
    for pod in objects.pods:
        assert pod.spec["automountServiceAccountToken"] is ("LONGRUN_POD_DELETION_COST" in pod.env), pod


def test_passwords_stand_in_secrets_only(objects: Objects) -> None:
    passwords = [value for secret in objects.of("Secret").values() for value in secret["stringData"].values()]
    others = [each for each in objects.all if each["kind"] != "Secret"]
    assert not [each["metadata"]["name"] for each in others for password in passwords if password in str(each)]
    for pod in objects.pods:
        for name, value in ((each["name"], each.get("value")) for c in pod.containers for each in c.get("env", [])):
            if name.endswith(("PASSWORD", "CLI_AUTH", "TOKEN", "DATABASE_URL", "REDIS_URL", "BROKER_URL", "_KEY")):
                assert value is None, (pod, name)


def test_every_object_and_pod_carries_the_recommended_labels(objects: Objects) -> None:
    for labels in [each["metadata"]["labels"] for each in objects.all] + [
        pod.metadata["labels"] for pod in objects.pods
    ]:
        assert {f"app.kubernetes.io/{key}" for key in RECOMMENDED} <= labels.keys(), labels


def test_selectors_select_their_own_pods_only(objects: Objects) -> None:
    for owner in [*objects.of("Deployment").values(), *objects.of("StatefulSet").values()]:
        wanted = owner["spec"]["selector"]["matchLabels"].items()
        selected = [pod for pod in objects.pods if wanted <= pod.metadata["labels"].items()]
        assert offenders(selected) == [f"{owner['kind']}/{owner['metadata']['name']}"]


def test_selectors_hold_nothing_that_a_new_version_changes(objects: Objects) -> None:
    for owner in [*objects.of("Deployment").values(), *objects.of("StatefulSet").values()]:
        assert owner["spec"]["selector"]["matchLabels"].keys() == {
            f"app.kubernetes.io/{key}" for key in ("name", "instance", "component")
        }


def test_services_lead_to_a_port_that_a_pod_has(objects: Objects) -> None:
    for name, service in objects.of("Service").items():
        wanted = service["spec"]["selector"].items()
        (pod,) = [pod for pod in objects.pods if wanted <= pod.metadata["labels"].items()]
        ports = {port["name"] for container in pod.containers for port in container.get("ports", [])}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports, name


def test_volumes_that_are_mounted_exist(objects: Objects) -> None:
    for pod in objects.pods:
        claims = pod.owner["spec"].get("volumeClaimTemplates", [])
        volumes = {each["name"] for each in pod.spec.get("volumes", [])} | {c["metadata"]["name"] for c in claims}
        assert {mount["name"] for c in pod.containers for mount in c.get("volumeMounts", [])} <= volumes, pod


def test_configmaps_and_secrets_that_pods_read_are_there_or_the_users_own(objects: Objects, case: Path) -> None:
    made = objects.of("ConfigMap").keys() | objects.of("Secret").keys()
    for name in {name for pod in objects.pods for name in references(pod.spec)}:
        assert name in made or f"{name}" in case.read_text(), name


def references(node: object) -> list[str]:
    """Names of ConfigMaps and Secrets anywhere below."""
    if isinstance(node, list):
        return [name for each in node for name in references(each)]
    if not isinstance(node, dict):
        return []
    keys = ("configMapRef", "secretRef", "configMapKeyRef", "secretKeyRef", "configMap")
    here = [node[key]["name"] for key in keys if key in node]
    here += [node["secretName"]] if isinstance(node.get("secretName"), str) else []
    return here + [name for value in node.values() for name in references(value)]
