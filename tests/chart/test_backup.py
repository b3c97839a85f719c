"""How the chart runs dumps and restores; test_backup_scripts.py runs the scripts themselves."""

from __future__ import annotations

import pytest

from tests.chart.helm import CHART, Helm
from tests.chart.objects import Object, Objects, Pod

CLAIM = "persistentVolumeClaim"


@pytest.fixture(scope="module")
def objects(helm: Helm) -> Objects:
    return helm.render({"backup": {"enabled": True, "keep": 3, "schedule": "5 4 * * *"}})


def dumping(objects: Objects) -> list[Pod]:
    """The Job of the schedule and the one at the start."""
    return [pod for pod in objects.pods if pod.main["name"] == "backup"]


def claim(pod: Pod) -> str:
    (volume,) = [each for each in pod.spec["volumes"] if CLAIM in each]
    return str(volume[CLAIM]["claimName"])


def test_it_is_off_by_default(default: Objects) -> None:
    assert not default.of("CronJob")
    assert "longrun-backup" not in default.of("PersistentVolumeClaim")


def test_dumps_are_made_on_schedule_and_never_two_at_once(objects: Objects) -> None:
    spec = objects.one("CronJob", "longrun-backup")["spec"]
    assert spec["schedule"] == "5 4 * * *"
    assert spec["concurrencyPolicy"] == "Forbid"
    assert not spec.get("suspend")


def test_a_first_dump_is_made_at_once_so_that_helm_wait_sees_its_volume_bound(objects: Objects) -> None:
    cron, job = sorted(dumping(objects), key=lambda pod: pod.owner["kind"])
    assert (cron.owner["kind"], job.owner["kind"]) == ("CronJob", "Job")
    assert claim(cron) == claim(job) == "longrun-backup"
    assert job.init("wait-for-schema"), "there is nothing to dump before"


def test_the_first_dumps_job_has_another_name_when_it_changes(helm: Helm, objects: Objects) -> None:
    other = helm.render({"backup": {"enabled": True, "keep": 4, "schedule": "5 4 * * *"}})

    def name(rendered: Objects) -> str:
        (job,) = [each for each in rendered.of("Job") if "-backup-" in each]
        return job

    assert name(objects) != name(other), "a Job cannot be changed"


def test_dumps_outlive_the_release(objects: Objects) -> None:
    annotations = objects.one("PersistentVolumeClaim", "longrun-backup")["metadata"]["annotations"]
    assert annotations["helm.sh/resource-policy"] == "keep"


def test_a_claim_of_the_users_own_is_used_instead(helm: Helm) -> None:
    objects = helm.render({"backup": {"enabled": True, "persistence": {"existingClaim": "nfs"}}})
    assert "longrun-backup" not in objects.of("PersistentVolumeClaim")
    assert {claim(pod) for pod in dumping(objects)} == {"nfs"}


def test_pg_dump_is_of_the_servers_version_unless_another_is_named(helm: Helm) -> None:
    images = {"postgres": {"image": {"repository": "postgres", "tag": "17"}}}
    newer = {"image": {"repository": "postgres", "tag": "19"}}
    assert {pod.main["image"] for pod in dumping(helm.render({**images, "backup": {"enabled": True}}))} == {
        "postgres:17"
    }
    assert {pod.main["image"] for pod in dumping(helm.render({**images, "backup": {"enabled": True, **newer}}))} == {
        "postgres:19"
    }


def test_a_restore_never_starts_by_itself(objects: Objects) -> None:
    assert objects.one("CronJob", "longrun-restore")["spec"]["suspend"] is True


def test_a_restored_database_is_brought_to_this_versions_schema(objects: Objects) -> None:
    pod = objects.pod("CronJob", "longrun-restore")
    assert pod.init("restore")["command"] == ["bash", "/scripts/restore.sh"]
    assert pod.main["command"][:4] == ["python", "-m", "jobcore.migrations", "upgrade"]
    assert claim(pod) == "longrun-backup"


def test_the_scripts_that_pods_run_are_those_that_are_tested(objects: Objects) -> None:
    mounted: Object = objects.one("ConfigMap", "longrun-backup")["data"]
    for name in ("backup.sh", "restore.sh"):
        assert mounted[name].rstrip() == (CHART / "files" / name).read_text().rstrip()
    commands = [pod.main["command"] for pod in dumping(objects)]
    assert commands == [["bash", "/scripts/backup.sh"]] * 2
