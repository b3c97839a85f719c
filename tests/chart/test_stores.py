"""PostgreSQL, Redis and Jaeger as this chart runs them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.helm import ROOT, Helm
from tests.chart.objects import Objects

STORES = ["postgres", "redis", "jaeger"]


@pytest.mark.parametrize("store", STORES)
def test_data_outlives_the_release(default: Objects, store: str) -> None:
    spec = default.one("StatefulSet", f"longrun-{store}")["spec"]
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    (template,) = spec["volumeClaimTemplates"]
    assert template["spec"]["accessModes"] == ["ReadWriteOnce"]


@pytest.mark.parametrize("store", STORES)
def test_a_volume_claim_holds_nothing_that_a_new_chart_changes(helm: Helm, default: Objects, store: str) -> None:
    changed = helm.render({"global": {"image": {"tag": "9.9.9"}}, "postgres": {"image": {"tag": "18.9"}}})
    before, after = (objects.one("StatefulSet", f"longrun-{store}")["spec"] for objects in (default, changed))
    assert before["volumeClaimTemplates"] == after["volumeClaimTemplates"]


@pytest.mark.parametrize("store", STORES)
def test_a_new_version_of_longrun_restarts_no_store(helm: Helm, store: str) -> None:
    secrets = {"postgres": {"auth": {"existingSecret": "p"}}, "redis": {"auth": {"existingSecret": "r"}}}
    before, after = (
        helm.render({**secrets, "global": {"image": {"tag": tag}}}).pod("StatefulSet", f"longrun-{store}")
        for tag in ("1.0.0", "2.0.0")
    )
    assert (before.metadata, before.spec) == (after.metadata, after.spec)


@pytest.mark.parametrize("store", STORES)
def test_without_persistence_there_is_no_claim(helm: Helm, store: str) -> None:
    objects = helm.render({store: {"persistence": {"enabled": False}}})
    assert "volumeClaimTemplates" not in objects.one("StatefulSet", f"longrun-{store}")["spec"]
    assert volume(objects, store, "data")["emptyDir"] == {"sizeLimit": "10Gi" if store == "postgres" else SIZES[store]}


SIZES = {"redis": "1Gi", "jaeger": "5Gi"}


def test_postgres_keeps_its_data_where_version_18_wants_it(default: Objects) -> None:
    mounts = mounted(default, "postgres")
    assert mounts["data"] == "/var/lib/postgresql"
    assert {mounts["run"], mounts["tmp"]} == {"/var/run/postgresql", "/tmp"}
    assert mounts["shared-memory"] == "/dev/shm"
    assert volume(default, "postgres", "shared-memory")["emptyDir"]["medium"] == "Memory"


def test_only_the_role_longrun_has_a_password_and_no_probe_is_the_superuser(default: Objects) -> None:
    pod = default.pod("StatefulSet", "longrun-postgres")
    assert pod.env["POSTGRES_USER"] == "postgres"
    assert mounted(default, "postgres")["roles"] == "/docker-entrypoint-initdb.d"
    assert volume(default, "postgres", "roles")["configMap"] == {"name": "longrun-postgres"}
    assert list(default.one("ConfigMap", "longrun-postgres")["data"]) == ["roles.sh"]
    url = default.one("Secret", "longrun-postgres")["stringData"]["url"]
    assert url.startswith("postgresql://longrun:")


def test_postgres_reads_its_password_from_a_file(default: Objects) -> None:
    pod = default.pod("StatefulSet", "longrun-postgres")
    file = Path(pod.env["POSTGRES_PASSWORD_FILE"])
    assert mounted(default, "postgres")["password"] == str(file.parent)
    assert volume(default, "postgres", "password")["secret"]["items"] == [{"key": "password", "path": file.name}]


def test_server_settings_of_postgres_are_values(helm: Helm) -> None:
    objects = helm.render({"postgres": {"parameters": {"work_mem": "8MB", "max_wal_size": 1_000_000}}})
    arguments = objects.pod("StatefulSet", "longrun-postgres").main["args"]
    assert {"work_mem=8MB", "max_wal_size=1000000", "max_connections=200"} <= set(arguments)


# pg_isready: 0 accepts connections, 1 refuses them (recovering), 2 does not answer
@pytest.mark.parametrize(("answer", "alive"), [(0, True), (1, True), (2, False)])
def test_postgres_is_not_killed_while_it_recovers(default: Objects, tmp_path: Path, answer: int, alive: bool) -> None:
    program(tmp_path / "pg_isready", f"exit {answer}")
    main = default.pod("StatefulSet", "longrun-postgres").main
    assert succeeds(main["livenessProbe"], tmp_path) is alive
    assert succeeds(main["startupProbe"], tmp_path) is alive
    assert succeeds(main["readinessProbe"], tmp_path) is (answer == 0)


@pytest.mark.parametrize(
    ("answer", "alive", "ready"),
    [("PONG", True, True), ("LOADING Redis is loading the dataset in memory", True, False), ("NOAUTH", False, False)],
)
def test_redis_is_not_killed_while_it_reads_its_file_back(
    default: Objects, tmp_path: Path, answer: str, alive: bool, ready: bool
) -> None:
    program(tmp_path / "redis-cli", f"echo {answer}")
    main = default.pod("StatefulSet", "longrun-redis").main
    assert succeeds(main["livenessProbe"], tmp_path) is alive
    assert succeeds(main["readinessProbe"], tmp_path) is ready


def program(path: Path, does: str) -> None:
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o755)


def succeeds(probe: dict[str, Any], programs: Path) -> bool:
    """Whether the probe's own command, run here with these programs, succeeds."""
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run(probe["exec"]["command"], env=environment, capture_output=True, timeout=10, check=False)
    return done.returncode == 0


def test_redis_appends_to_its_file_and_drops_nothing_when_full(default: Objects) -> None:
    lines = default.one("ConfigMap", "longrun-redis")["data"]["redis.conf"].splitlines()
    assert {"appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction", "maxmemory 128mb"} <= set(lines)


def test_redis_gets_its_password_from_a_file_and_not_from_its_arguments(default: Objects) -> None:
    main = default.pod("StatefulSet", "longrun-redis").main
    assert main["env"] == [
        {"name": "REDISCLI_AUTH", "valueFrom": {"secretKeyRef": {"name": "longrun-redis", "key": "password"}}}
    ]
    start = main["command"][2]
    assert start.endswith("exec redis-server /etc/longrun/redis.conf")
    written = start.partition("> ")[2].partition(" ")[0]
    assert f"include {written}" in default.one("ConfigMap", "longrun-redis")["data"]["redis.conf"]


def test_the_only_user_of_redis_may_do_what_the_docs_say_and_no_more(helm: Helm) -> None:
    docs = (ROOT / "docs/operations.md").read_text()
    [line] = [line.strip() for line in docs.splitlines() if line.strip().startswith("user longrun ")]
    objects = helm.render({"config": {"LONGRUN_REDIS_PREFIX": "other:"}})
    user = objects.one("ConfigMap", "longrun-redis")["data"]["redis.acl"].strip()
    rights = line.removeprefix("user longrun on >PASSWORD ")
    assert user == f"user default reset on {rights.replace('longrun:', 'other:')}"
    assert "$(cat /etc/longrun/redis.acl)" in objects.pod("StatefulSet", "longrun-redis").main["command"][2]


def test_redis_memory_limit_leaves_room_to_rewrite_its_file(default: Objects) -> None:
    limit = default.pod("StatefulSet", "longrun-redis").main["resources"]["limits"]["memory"]
    assert int(limit.removesuffix("Mi")) >= 1.5 * 128


def test_a_new_redis_configuration_restarts_redis(helm: Helm, default: Objects) -> None:
    changed = helm.render({"redis": {"maxmemory": "64mb"}})
    before, after = (objects.pod("StatefulSet", "longrun-redis").metadata for objects in (default, changed))
    assert before["annotations"]["checksum/config"] != after["annotations"]["checksum/config"]


def test_jaeger_keeps_traces_on_its_volume(default: Objects) -> None:
    config = yaml.safe_load(default.one("ConfigMap", "longrun-jaeger")["data"]["jaeger.yaml"])
    badger = config["extensions"]["jaeger_storage"]["backends"]["badger"]["badger"]
    assert badger["ephemeral"] is False
    data = mounted(default, "jaeger")["data"]
    assert all(directory.startswith(f"{data}/") for directory in badger["directories"].values())


def mounted(objects: Objects, store: str) -> dict[str, str]:
    """Where the store's volumes are mounted, by name."""
    mounts = objects.pod("StatefulSet", f"longrun-{store}").main["volumeMounts"]
    return {mount["name"]: mount["mountPath"] for mount in mounts}


def volume(objects: Objects, store: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in objects.pod("StatefulSet", f"longrun-{store}").spec["volumes"] if each["name"] == name]
    assert isinstance(found, dict)
    return found
