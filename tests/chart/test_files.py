"""Result files in the cluster: on one volume for all workloads, in a bucket, or nowhere."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.helm import Helm
from tests.chart.objects import Objects

WORKLOADS = ["api", "worker", "scraper-worker"]
FOLDER = "/var/lib/longrun/files"
BUCKET = {"store": "s3", "s3": {"bucket": "b", "prefix": "p", "endpoint": "http://s3:9000", "existingSecret": "keys"}}


def spec(objects: Objects, workload: str) -> dict[str, Any]:
    """The spec of a workload's pods."""
    return objects.pod("Deployment", f"longrun-{workload}").spec


def claims(objects: Objects, workload: str) -> list[str]:
    """The volume claims of a workload's pods."""
    volumes = spec(objects, workload)["volumes"]
    return [each["persistentVolumeClaim"]["claimName"] for each in volumes if "persistentVolumeClaim" in each]


@pytest.mark.parametrize("workload", WORKLOADS)
def test_by_default_all_workloads_share_one_volume(default: Objects, workload: str) -> None:
    assert claims(default, workload) == ["longrun-files"]
    main = default.pod("Deployment", f"longrun-{workload}").main
    assert {"name": "files", "mountPath": FOLDER} in main["volumeMounts"]
    assert default.pod("Deployment", f"longrun-{workload}").env["LONGRUN_FILES"] == FOLDER
    assert spec(default, workload)["securityContext"]["fsGroup"] == 10001, "or the volume could not be written"
    assert main["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_volume_outlives_the_release(default: Objects) -> None:
    claim = default.one("PersistentVolumeClaim", "longrun-files")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_pods_that_need_a_volume_of_one_node_are_kept_on_one_node(default: Objects) -> None:
    for workload in WORKLOADS:
        (term,) = spec(default, workload)["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        labels = default.pod("Deployment", f"longrun-{workload}").metadata["labels"]
        assert term["topologyKey"] == "kubernetes.io/hostname"
        assert term["labelSelector"]["matchLabels"].items() <= labels.items()
        assert term["labelSelector"]["matchLabels"]["longrun/files"] == "one-node", (
            "pods of a chart before have no volume"
        )


@pytest.mark.parametrize(
    "files", [{"volume": {"accessMode": "ReadWriteMany"}}, BUCKET, {"store": "none"}], ids=["many", "s3", "none"]
)
def test_pods_that_need_no_such_volume_are_spread(helm: Helm, files: dict[str, Any]) -> None:
    objects = helm.render({"files": files, "networkPolicy": {"enabled": False}})
    for workload in WORKLOADS:
        assert "affinity" not in spec(objects, workload)
        assert "longrun/files" not in objects.pod("Deployment", f"longrun-{workload}").metadata["labels"]


def test_an_affinity_of_a_workload_is_left_alone(helm: Helm) -> None:
    required = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}]}
    own: dict[str, Any] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    assert spec(helm.render({"workloads": {"worker": {"affinity": own}}}), "worker")["affinity"] == own


def test_a_claim_of_the_users_own_is_used(helm: Helm) -> None:
    objects = helm.render({"files": {"volume": {"existingClaim": "nfs"}}})
    assert claims(objects, "api") == ["nfs"]
    assert "PersistentVolumeClaim" not in {each["kind"] for each in objects.all}


@pytest.mark.parametrize("workload", WORKLOADS)
def test_with_a_bucket_there_is_no_volume_and_the_keys_come_from_the_secret(helm: Helm, workload: str) -> None:
    objects = helm.render({"files": BUCKET})
    assert claims(objects, workload) == []
    pod = objects.pod("Deployment", f"longrun-{workload}")
    assert (pod.env["LONGRUN_FILES"], pod.env["AWS_ENDPOINT_URL"]) == ("s3://b/p", "http://s3:9000")
    secrets = {
        each["name"]: each["valueFrom"]["secretKeyRef"]
        for each in pod.main["env"]
        if each["name"] in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    }
    assert secrets == {
        "AWS_ACCESS_KEY_ID": {"name": "keys", "key": "accessKeyId"},
        "AWS_SECRET_ACCESS_KEY": {"name": "keys", "key": "secretAccessKey"},
    }


def test_a_role_needs_no_keys_and_a_bucket_needs_no_prefix(helm: Helm) -> None:
    env = helm.render({"files": {"store": "s3", "s3": {"bucket": "b"}}}).pod("Deployment", "longrun-worker").env
    assert env["LONGRUN_FILES"] == "s3://b"
    assert not {"AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL", "AWS_REGION"} & env.keys()


def test_a_bucket_without_a_name_is_refused(helm: Helm) -> None:
    assert "files.s3.bucket: say which bucket" in helm.refusal({"files": {"store": "s3"}})


def test_workloads_may_reach_the_bucket_and_by_default_only_over_the_internet(helm: Helm) -> None:
    there = [{"ipBlock": {"cidr": "10.1.3.4/32"}}]
    given = helm.render({"files": BUCKET, "networkPolicy": {"files": {"to": there, "port": 9000}}})
    assert {"to": there, "ports": [{"port": 9000}]} in given.one("NetworkPolicy", "longrun-worker")["spec"]["egress"]
    default = helm.render({"files": BUCKET}).one("NetworkPolicy", "longrun-api")["spec"]["egress"]
    (rule,) = [rule for rule in default if rule["ports"] == [{"port": 443}]]
    assert {peer["ipBlock"]["cidr"] for peer in rule["to"]} == {"0.0.0.0/0", "::/0"}


def test_without_a_store_there_is_neither_a_volume_nor_a_setting(helm: Helm) -> None:
    objects = helm.render({"files": {"store": "none"}})
    assert claims(objects, "worker") == []
    assert "LONGRUN_FILES" not in objects.pod("Deployment", "longrun-worker").env
