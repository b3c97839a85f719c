"""The collector's configuration: what comes in, what goes where."""

from __future__ import annotations

from typing import Any

import yaml

from tests.chart.helm import Helm
from tests.chart.objects import Objects


def config(objects: Objects) -> dict[str, Any]:
    loaded = yaml.safe_load(objects.one("ConfigMap", "longrun-collector")["data"]["collector.yaml"])
    assert isinstance(loaded, dict)
    return loaded


def test_it_listens_to_its_own_pod_only(default: Objects) -> None:
    protocols = config(default)["receivers"]["otlp"]["protocols"]
    assert {each["endpoint"] for each in protocols.values()} == {"localhost:4317", "localhost:4318"}


def test_memory_is_limited_before_anything_else_is_done(default: Objects) -> None:
    for pipeline in config(default)["service"]["pipelines"].values():
        assert pipeline["processors"][0] == "memory_limiter"


def test_traces_go_to_jaeger_and_metrics_wait_for_prometheus(default: Objects) -> None:
    loaded = config(default)
    assert loaded["exporters"]["otlp_grpc"]["endpoint"] == "longrun-jaeger.jobs.svc:4317"
    assert loaded["service"]["pipelines"]["traces"]["exporters"] == ["otlp_grpc"]
    assert loaded["service"]["pipelines"]["metrics"]["exporters"] == ["prometheus"]
    assert loaded["exporters"]["prometheus"] == {
        "endpoint": ":8889",
        "metric_expiration": "1m",
        "resource_to_telemetry_conversion": {"enabled": True},
    }
    (port,) = [p for p in sidecar(default)["ports"] if p["name"] == "metrics"]
    assert port["containerPort"] == 8889


def test_traces_can_go_elsewhere_over_tls(helm: Helm) -> None:
    values = {"collector": {"tracesEndpoint": "tempo.example.com:4317", "tracesTls": True}}
    exporter = config(helm.render({**values, "networkPolicy": {"enabled": False}}))["exporters"]["otlp_grpc"]
    assert (exporter["endpoint"], exporter["tls"]) == ("tempo.example.com:4317", {"insecure": False})


def test_without_a_receiver_of_traces_they_are_dropped_and_metrics_go_on(helm: Helm) -> None:
    loaded = config(helm.render({"jaeger": {"enabled": False}}))
    assert loaded["service"]["pipelines"]["traces"]["exporters"] == ["nop"]
    assert loaded["exporters"].keys() == {"prometheus", "nop"}
    assert loaded["service"]["pipelines"]["metrics"]["exporters"] == ["prometheus"]


def test_everything_that_pipelines_name_is_defined(default: Objects) -> None:
    loaded = config(default)
    for pipeline in loaded["service"]["pipelines"].values():
        for part, names in pipeline.items():
            assert set(names) <= loaded[part].keys()


def sidecar(objects: Objects) -> dict[str, Any]:
    return objects.pod("Deployment", "longrun-worker").init("otel-collector")
