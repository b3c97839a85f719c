"""Flower is off; switched on it asks for a login."""

from __future__ import annotations

import pytest

from tests.chart.helm import NAMESPACE, Helm
from tests.chart.network import Peer, network
from tests.chart.objects import Objects


@pytest.fixture(scope="module")
def objects(helm: Helm) -> Objects:
    return helm.render({"flower": {"enabled": True, "existingSecret": "login", "clients": [{"namespaceSelector": {}}]}})


def test_it_is_off_by_default(default: Objects) -> None:
    assert not [each["metadata"]["name"] for each in default.all if "flower" in each["metadata"]["name"]]


def test_it_is_not_installed_without_a_login(helm: Helm) -> None:
    assert "flower.existingSecret" in helm.refusal({"flower": {"enabled": True}})


def test_login_and_broker_come_from_secrets(objects: Objects) -> None:
    given = objects.pod("Deployment", "longrun-flower").main["env"]
    env = {each["name"]: each["valueFrom"] for each in given if "valueFrom" in each}
    assert env == {
        "CELERY_BROKER_URL": {"secretKeyRef": {"name": "longrun-redis", "key": "url"}},
        "FLOWER_BASIC_AUTH": {"secretKeyRef": {"name": "login", "key": "basicAuth"}},
    }


def test_flower_is_told_how_longrun_uses_redis(helm: Helm) -> None:
    values = {"flower": {"enabled": True, "existingSecret": "login"}, "config": {"LONGRUN_REDIS_PREFIX": "other:"}}
    objects = helm.render(values)
    pod = objects.pod("Deployment", "longrun-flower")
    [mount] = [each for each in pod.main["volumeMounts"] if each["name"] == "config"]
    assert (pod.env["PYTHONPATH"], pod.env["LONGRUN_REDIS_PREFIX"]) == (mount["mountPath"], "other:")
    assert list(objects.one("ConfigMap", "longrun-flower")["data"]) == ["celeryconfig.py"]


def test_the_probe_is_the_page_that_needs_no_login(objects: Objects) -> None:
    main = objects.pod("Deployment", "longrun-flower").main
    assert {main[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe")} == {"/healthcheck"}


def test_only_those_named_reach_it(helm: Helm, objects: Objects) -> None:
    closed = helm.render({"flower": {"enabled": True, "existingSecret": "login"}})
    stranger = Peer({}, "elsewhere")
    for given, reached in ((objects, True), (closed, False)):
        flower = Peer(given.pod("Deployment", "longrun-flower").metadata["labels"], NAMESPACE)
        assert network(given, NAMESPACE).connects(stranger, flower, 5555) is reached


def test_workers_listen_to_remote_control_for_flower_alone(default: Objects, objects: Objects) -> None:
    def listens(given: Objects, workload: str) -> bool:
        env = given.pod("Deployment", workload).main["env"]
        return {"name": "LONGRUN_REMOTE_CONTROL", "value": "true"} in env

    for worker in ("longrun-worker", "longrun-scraper-worker"):
        assert listens(objects, worker)
        assert not listens(default, worker)
    assert not listens(objects, "longrun-api")
