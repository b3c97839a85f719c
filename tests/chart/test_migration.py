"""Migrations: a Job of the release that cannot wait for what is installed after it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.helm import Helm
from tests.chart.objects import Objects


def test_it_is_no_hook_so_it_cannot_wait_for_a_database_that_waits_for_it(default: Objects) -> None:
    assert not [key for key in default.migration["metadata"].get("annotations", {}) if key.startswith("helm.sh/hook")]


@pytest.mark.parametrize("name", ["api", "worker", "scraper-worker"])
def test_pods_wait_for_the_schema_of_their_own_version(default: Objects, name: str) -> None:
    pod = default.pod("Deployment", f"longrun-{name}")
    first = pod.spec["initContainers"][0]
    assert (first["name"], first["image"]) == ("wait-for-schema", pod.main["image"])
    assert first["command"] == ["python", "-m", "jobcore.migrations", "wait", "--timeout", "300"]


@pytest.mark.parametrize(
    ("changed", "renamed"),
    [
        ({}, False),
        ({"config": {"LONGRUN_LOG_LEVEL": "debug"}}, False),
        ({"workloads": {"worker": {"replicas": 3}}}, False),
        ({"global": {"image": {"tag": "9.9.9"}}}, True),
        ({"migrations": {"timeoutSeconds": 60}}, True),
    ],
)
def test_its_name_changes_with_its_content_because_a_job_cannot(
    helm: Helm, default: Objects, changed: dict[str, Any], renamed: bool
) -> None:
    before, after = default.migration, helm.render(changed).migration
    assert (before["metadata"]["name"] != after["metadata"]["name"]) is renamed
    assert (before["spec"] != after["spec"]) is renamed


def test_it_is_tried_again_when_the_database_is_late(default: Objects) -> None:
    spec = default.migration["spec"]
    assert spec["template"]["spec"]["restartPolicy"] == "OnFailure"
    assert spec["backoffLimit"] >= 6


def test_it_runs_the_apis_image_also_when_that_is_the_users_own(helm: Helm) -> None:
    image = {"repository": "acme/api", "tag": "7"}
    job = helm.render({"workloads": {"api": {"image": image}}}).migration
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "acme/api:7"


def test_it_takes_the_superusers_rights_on_the_charts_own_server_alone(helm: Helm, default: Objects) -> None:
    def command(objects: Objects) -> list[str]:
        [container] = objects.migration["spec"]["template"]["spec"]["containers"]
        return list(container["command"])

    external = {
        "postgres": {"enabled": False, "external": {"existingSecret": "p"}},
        "networkPolicy": {"postgres": {"to": [{"ipBlock": {"cidr": "192.0.2.1/32"}}]}},
    }
    assert "--shed-superuser" in command(default)
    assert "--shed-superuser" not in command(helm.render(external))


def test_it_can_be_left_to_the_user(helm: Helm) -> None:
    assert not helm.render({"migrations": {"enabled": False}}).of("Job")
