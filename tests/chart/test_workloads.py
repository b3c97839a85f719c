"""The workloads: one Deployment each, from values alone."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.chart.helm import Helm
from tests.chart.objects import Objects

OWN = {"workloads": {"reports": {"image": {"repository": "acme/reports", "tag": "2.0"}, "queues": ["reports", "bulk"]}}}
WORKERS = ["worker", "scraper-worker"]


def test_the_three_services_are_deployments_and_only_the_api_is_reached(default: Objects) -> None:
    assert default.of("Deployment").keys() == {"longrun-api", "longrun-worker", "longrun-scraper-worker"}
    (port,) = default.one("Service", "longrun-api")["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (80, "http")
    assert not {"longrun-worker", "longrun-scraper-worker"} & default.of("Service").keys()


def test_a_user_adds_a_workload_by_values_alone(helm: Helm, default: Objects) -> None:
    pod = helm.render(OWN).pod("Deployment", "longrun-reports")
    assert pod.main["image"] == "acme/reports:2.0"
    assert pod.init("wait-for-schema")["image"] == "acme/reports:2.0"
    assert pod.env["LONGRUN_QUEUES"] == "reports,bulk"
    assert pod.main["livenessProbe"] == default.pod("Deployment", "longrun-worker").main["livenessProbe"]
    assert pod.env.keys() == default.pod("Deployment", "longrun-worker").env.keys()


def test_a_workload_set_to_null_or_disabled_is_gone(helm: Helm) -> None:
    objects = helm.render({"workloads": {"worker": None, "scraper-worker": {"enabled": False}}})
    assert [name for _, name in ((o["kind"], o["metadata"]["name"]) for o in objects.all) if "worker" in name] == []


def test_a_key_of_a_workload_wins_over_the_default_even_when_it_is_empty(helm: Helm) -> None:
    objects = helm.render(
        {
            "workloadDefaults": {"replicas": 3, "pdb": {"enabled": True}, "podAnnotations": {"a": "b"}},
            "workloads": {"worker": {"replicas": 0, "pdb": {"enabled": False}, "podAnnotations": {}}},
        }
    )
    assert objects.one("Deployment", "longrun-worker")["spec"]["replicas"] == 0
    assert "longrun-worker" not in objects.of("PodDisruptionBudget")
    assert "a" not in objects.pod("Deployment", "longrun-worker").metadata["annotations"]
    assert objects.one("Deployment", "longrun-api")["spec"]["replicas"] == 3
    assert "longrun-api" in objects.of("PodDisruptionBudget")


def test_replicas_are_left_to_whoever_scales(helm: Helm, default: Objects) -> None:
    assert "replicas" not in default.one("Deployment", "longrun-worker")["spec"]
    given = helm.render({"workloads": {"worker": {"replicas": 4}}})
    assert given.one("Deployment", "longrun-worker")["spec"]["replicas"] == 4
    scaled = helm.render({"workloads": {"worker": {"autoscaling": {"enabled": True}}}})
    assert "replicas" not in scaled.one("Deployment", "longrun-worker")["spec"]


@pytest.mark.parametrize("name", WORKERS)
def test_a_workers_drain_ends_well_before_kubernetes_kills_it(default: Objects, name: str) -> None:
    pod = default.pod("Deployment", f"longrun-{name}")
    assert pod.spec["terminationGracePeriodSeconds"] >= float(pod.env["LONGRUN_DRAIN_S"]) + 30


def test_a_drain_longer_than_the_grace_period_is_refused_with_the_cure(helm: Helm) -> None:
    refusal = helm.refusal({"workloads": {"worker": {"drainSeconds": 31}}})
    assert "workloads.worker.terminationGracePeriodSeconds (60) must be at least 61" in refusal
    helm.render({"workloads": {"worker": {"drainSeconds": 31, "terminationGracePeriodSeconds": 61}}})


def test_the_api_leaves_its_service_before_it_is_told_to_stop(default: Objects) -> None:
    pod = default.pod("Deployment", "longrun-api")
    seconds = int(pod.main["lifecycle"]["preStop"]["exec"]["command"][1])
    assert 5 <= seconds <= pod.spec["terminationGracePeriodSeconds"] - 20


@pytest.mark.parametrize("name", ["api", *WORKERS])
def test_a_rollout_never_has_fewer_pods_than_wanted(default: Objects, name: str) -> None:
    strategy = default.one("Deployment", f"longrun-{name}")["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def test_the_api_is_probed_by_http_and_only_readiness_asks_for_the_database(default: Objects) -> None:
    main = default.pod("Deployment", "longrun-api").main
    paths = {kind: main[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}


@pytest.mark.parametrize(("age_s", "alive"), [(0, True), (20, True), (40, False), (None, False)])
@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_lives_while_its_heartbeat_file_is_young(
    default: Objects, tmp_path: Path, name: str, age_s: float | None, alive: bool
) -> None:
    file = tmp_path / "heartbeat"
    if age_s is not None:
        file.touch()
        os.utime(file, (time.time() - age_s,) * 2)
    probe = default.pod("Deployment", f"longrun-{name}").main["livenessProbe"]
    assert succeeds(probe, file) is alive


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_has_started_once_its_heartbeat_file_is_there(default: Objects, tmp_path: Path, name: str) -> None:
    probe = default.pod("Deployment", f"longrun-{name}").main["startupProbe"]
    assert not succeeds(probe, tmp_path / "heartbeat")
    (tmp_path / "heartbeat").touch()
    assert succeeds(probe, tmp_path / "heartbeat")


def succeeds(probe: dict[str, Any], file: Path) -> bool:
    """Whether the probe's own command, run here, succeeds."""
    environment = {**os.environ, "LONGRUN_HEARTBEAT_FILE": str(file)}
    done = subprocess.run(probe["exec"]["command"], env=environment, stderr=subprocess.DEVNULL, timeout=10, check=False)
    return done.returncode == 0


def test_a_probe_can_be_replaced_and_leaves_the_others(helm: Helm, default: Objects) -> None:
    mine = {"exec": {"command": ["true"]}, "periodSeconds": 60}
    main = (
        helm.render({"workloads": {"worker": {"probes": {"liveness": mine}}}}).pod("Deployment", "longrun-worker").main
    )
    assert main["livenessProbe"] == mine
    assert main["startupProbe"] == default.pod("Deployment", "longrun-worker").main["startupProbe"]


def test_a_variable_of_the_users_replaces_the_charts_because_kubernetes_refuses_it_twice(helm: Helm) -> None:
    worker = {
        "queues": ["a"],
        "env": {"LONGRUN_QUEUES": "b"},
        "extraEnv": [{"name": "OTEL_SERVICE_NAME", "value": "mine"}],
    }
    main = helm.render({"workloads": {"worker": worker}}).pod("Deployment", "longrun-worker").main
    names = [each["name"] for each in main["env"]]
    assert len(names) == len(set(names))
    values = {each["name"]: each.get("value") for each in main["env"]}
    assert (values["LONGRUN_QUEUES"], values["OTEL_SERVICE_NAME"]) == ("b", "mine")


def test_numbers_reach_the_environment_as_they_are_written(helm: Helm) -> None:
    objects = helm.render(
        {
            "config": {"LONGRUN_MAX_BODY_BYTES": 10_000_000, "LONGRUN_LEASE_S": 12.5},
            "workloads": {"api": {"env": {"LONGRUN_PORT": 1_000_000}}},
        }
    )
    data = objects.one("ConfigMap", "longrun-config")["data"]
    assert (data["LONGRUN_MAX_BODY_BYTES"], data["LONGRUN_LEASE_S"]) == ("10000000", "12.5")
    assert objects.pod("Deployment", "longrun-api").env["LONGRUN_PORT"] == "1000000"


@pytest.mark.parametrize("name", ["api", *WORKERS])
def test_a_new_configuration_restarts_the_pods_that_read_it(helm: Helm, default: Objects, name: str) -> None:
    changed = helm.render({"config": {"LONGRUN_LOG_LEVEL": "debug"}})
    before, after = (objects.pod("Deployment", f"longrun-{name}").metadata for objects in (default, changed))
    assert before["annotations"]["checksum/config"] != after["annotations"]["checksum/config"]


@pytest.mark.parametrize("name", ["api", *WORKERS])
def test_telemetry_says_which_pod_it_is_of_and_goes_to_the_sidecar(default: Objects, name: str) -> None:
    pod = default.pod("Deployment", f"longrun-{name}")
    attributes = dict(pair.split("=") for pair in pod.env["OTEL_RESOURCE_ATTRIBUTES"].split(","))
    assert attributes.keys() == {"service.version", "k8s.pod.name", "k8s.namespace.name", "k8s.node.name"}
    order = list(pod.env)
    for variable in ("POD_NAME", "POD_NAMESPACE", "NODE"):  # a $(NAME) is only known below its definition
        assert order.index(variable) < order.index("OTEL_RESOURCE_ATTRIBUTES")
    assert pod.env["OTEL_SERVICE_NAME"] == f"longrun-{name}"
    assert pod.env["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://localhost:4317"


@pytest.mark.parametrize("name", ["api", *WORKERS])
def test_the_collector_is_a_native_sidecar_that_is_up_first(default: Objects, name: str) -> None:
    sidecar = default.pod("Deployment", f"longrun-{name}").init("otel-collector")
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["startupProbe"]["httpGet"]["port"] == "health"


def test_without_the_collector_nobody_sends_it_anything(helm: Helm) -> None:
    objects = helm.render({"collector": {"enabled": False}})
    pod = objects.pod("Deployment", "longrun-api")
    assert [each["name"] for each in pod.containers] == ["wait-for-schema", "api"]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in pod.env
    assert "longrun-collector" not in objects.of("ConfigMap")


@pytest.mark.parametrize("name", ["api", *WORKERS])
def test_replicas_spread_over_nodes_where_possible(default: Objects, name: str) -> None:
    (spread,) = default.pod("Deployment", f"longrun-{name}").spec["topologySpreadConstraints"]
    assert spread["whenUnsatisfiable"] == "ScheduleAnyway"
    selected = default.one("Deployment", f"longrun-{name}")["spec"]["selector"]
    assert spread["labelSelector"] == selected


def test_service_accounts_of_workloads_hand_out_no_token(default: Objects) -> None:
    for name in default.of("Deployment"):
        assert default.one("ServiceAccount", name)["automountServiceAccountToken"] is False
        assert default.pod("Deployment", name).spec["serviceAccountName"] == name
