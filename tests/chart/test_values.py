"""Values: strict, named in messages, and sensible about names and images."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.chart.helm import CHART, NAMESPACE, Helm

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"worker": {}}, "'worker' not allowed"),
        ({"workloads": {"worker": {"replica": 3}}}, "'replica' not allowed"),
        ({"workloads": {"worker": {"autoscaling": {"max": 3}}}}, "'max' not allowed"),
        ({"postgres": {"image": {"version": "17"}}}, "'version' not allowed"),
        ({"workloads": {"worker": {"replicas": "many"}}}, "/workloads/worker/replicas"),
        ({"workloads": {"Worker": {}}}, "'Worker'"),
        ({"config": {"LOG_LEVEL": "debug"}}, "LOG_LEVEL"),
        ({"workloads": {"worker": {"queues": ["a,b"]}}}, "/workloads/worker/queues/0"),
        ({"global": {"image": {"pullPolicy": "Sometimes"}}}, "/global/image/pullPolicy"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(each_helm: Helm, values: dict[str, Any], named: str) -> None:
    assert named in each_helm.refusal(values)


def test_the_schema_knows_every_default_and_no_more() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert schema["properties"].keys() == values.keys()
    assert schema["definitions"]["workload"]["properties"].keys() == values["workloadDefaults"].keys()


def test_no_part_of_the_schema_takes_unknown_keys() -> None:
    def loose(node: Any, at: str) -> list[str]:
        if isinstance(node, list):
            return [each for item in node for each in loose(item, at)]
        if not isinstance(node, dict):
            return []
        here = [at] if "properties" in node and "additionalProperties" not in node else []
        return here + [each for key, value in node.items() for each in loose(value, f"{at}/{key}")]

    assert loose(yaml.safe_load((CHART / "values.schema.json").read_text()), "") == []


@pytest.mark.parametrize(
    ("release", "values", "expected"),
    [
        ("longrun", {}, "longrun-api"),
        ("my-longrun", {}, "my-longrun-api"),
        ("prod", {}, "prod-longrun-api"),
        ("prod", {"fullnameOverride": "jobs"}, "jobs-api"),
        ("a" * 53, {}, "a" * 40 + "-api"),
    ],
)
def test_names_contain_the_release_and_fit(helm: Helm, release: str, values: dict[str, Any], expected: str) -> None:
    objects = helm.render(values, release=release)
    assert expected in objects.of("Deployment")
    assert all(
        len(name) <= 52 for name in [*objects.of("Deployment"), *objects.of("StatefulSet"), *objects.of("CronJob")]
    )
    assert all(len(name) <= 63 for name in [*objects.of("Job"), *objects.of("Service")])


def test_urls_of_databases_hold_the_namespace_because_keda_asks_from_another(helm: Helm) -> None:
    objects = helm.render(release="prod")
    for store, port in (("postgres", 5432), ("redis", 6379)):
        url = objects.one("Secret", f"prod-longrun-{store}")["stringData"]["url"]
        assert f"@prod-longrun-{store}.{NAMESPACE}.svc:{port}/" in url


@pytest.mark.parametrize(
    ("values", "api", "postgres"),
    [
        ({}, "longrun/api:0.1.0", "postgres:18"),
        ({"image": {"tag": "dev"}}, "longrun/api:dev", "postgres:18"),
        ({"image": {"tag": f"1.0@{DIGEST}"}}, f"longrun/api:1.0@{DIGEST}", "postgres:18"),
        ({"image": {"registry": "r.example/acme"}}, "r.example/acme/longrun/api:0.1.0", "postgres:18"),
        ({"imageRegistry": "mirror.example/"}, "mirror.example/longrun/api:0.1.0", "mirror.example/postgres:18"),
        (
            {"image": {"registry": "r.example"}, "imageRegistry": "m.example"},
            "r.example/longrun/api:0.1.0",
            "m.example/postgres:18",
        ),
    ],
)
def test_images_come_from_where_values_say(helm: Helm, values: dict[str, Any], api: str, postgres: str) -> None:
    objects = helm.render({"global": values})
    assert objects.pod("Deployment", "longrun-api").main["image"] == api
    assert objects.pod("StatefulSet", "longrun-postgres").main["image"] == postgres


def test_an_image_of_a_workload_is_overridden_alone_and_by_digest(helm: Helm) -> None:
    image = {"repository": "acme/worker", "tag": "3", "digest": DIGEST, "pullPolicy": "Always"}
    objects = helm.render({"workloads": {"worker": {"image": image}}})
    worker = objects.pod("Deployment", "longrun-worker").main
    assert (worker["image"], worker["imagePullPolicy"]) == (f"acme/worker:3@{DIGEST}", "Always")
    assert objects.pod("Deployment", "longrun-api").main["image"] == "longrun/api:0.1.0"


def test_an_image_without_a_version_is_refused(helm: Helm) -> None:
    values = {"workloads": {"mine": {"image": {"repository": "acme/mine"}}}}
    assert "image acme/mine needs a `tag` or a `digest`" in helm.refusal(values)


def test_pull_secrets_reach_every_pod(helm: Helm) -> None:
    objects = helm.render({"global": {"image": {"pullSecrets": [{"name": "registry"}]}}})
    assert [str(pod) for pod in objects.pods if pod.spec["imagePullSecrets"] != [{"name": "registry"}]] == []
