"""A new version with a migration comes and goes under load: no request fails at the ingress, no job is lost."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Record, setting
from tests.e2e.load import Load
from tests.e2e.release import Release

COLUMN = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'jobs' AND column_name = 'e2e_next'"


@pytest.mark.timeout(900)
def test_upgrade_and_rollback_under_load_fail_no_request_and_lose_no_job(release: Release, record: Record) -> None:
    next_tag = setting("LONGRUN_E2E_NEXT_TAG")
    with (
        Load(release, rate=20) as quick,
        Load(release, rate=0.5, task_type="sleep", input={"seconds": 4}) as slow,
    ):
        quick.go_on()
        record("helm upgrade --wait under load, with a migration, s", release.upgrade(next_tag))
        assert release.sql(COLUMN)[0]["count"] == 1
        quick.go_on()
        record("helm rollback --wait under load, s", release.rollback())
        quick.go_on()
    record("requests during upgrade and rollback", 2 * len(quick.accepted) + 2 * len(slow.accepted))
    assert quick.failures + slow.failures == []
    release.all_kept(quick.accepted + slow.accepted)


@pytest.mark.timeout(600)
def test_a_rolling_restart_of_every_process_under_load_loses_nothing(release: Release) -> None:
    with (
        Load(release, rate=20) as quick,
        Load(release, rate=0.5, task_type="sleep", input={"seconds": 4}) as slow,
    ):
        for name in ("api", "worker", "scraper-worker"):
            release.restart(name)
        quick.go_on()
    assert quick.failures + slow.failures == []
    release.all_kept(quick.accepted + slow.accepted)
