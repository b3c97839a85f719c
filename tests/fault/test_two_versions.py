"""A rolling deploy in any order: an old and a new version of a task type, and a new type, side by side."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from jobcore.worker.run import REFUSALS_MAX
from tests.harness import Harness, environment
from tests.invariants import check
from tests.processes import Process
from tests.thorough import cases
from tests.waiting import until

pytestmark = pytest.mark.fault

MODULE = """
from pydantic import BaseModel, ConfigDict
from jobcore.tasks import task

class Input(BaseModel):
    model_config = ConfigDict(extra="forbid")
    n: int
    {field}

class Output(BaseModel):
    version: str

@task("versioned", input=Input, output=Output, max_attempts=1)
def versioned(ctx, input):
    return Output(version="{version}")
"""
NEW_TYPE = """
@task("only_new", input=Input, output=Output, max_attempts=1)
def only_new(ctx, input):
    return Output(version="{version}")
"""
VERSIONS = {
    "old": MODULE.format(version="old", field=""),
    "new": (MODULE + NEW_TYPE).format(version="new", field="depth: int = 3"),
}


def version(folder: Path, name: str, backoff_s: float = 1.0) -> dict[str, str]:
    """The environment of a process in which this version of the task types is installed."""
    place = folder / name
    package = place / "versions-0.dist-info"
    package.mkdir(parents=True, exist_ok=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: versions\nVersion: 0\n")
    (package / "entry_points.txt").write_text("[longrun.tasks]\nversions = deployed_versions\n")
    (place / "deployed_versions.py").write_text(VERSIONS[name])
    usual = environment(folder)
    return usual | {"PYTHONPATH": f"{place}:{usual['PYTHONPATH']}", "LONGRUN_REFUSED_BACKOFF_S": str(backoff_s)}


class Deploy:
    """An API and workers, each of one version or the other."""

    def __init__(self, apart: Harness) -> None:
        self.apart = apart
        self._folder = apart.stack.folder

    def api(self, name: str) -> Deploy:
        """Submit to an API of this version from now on."""
        url = self.apart.stack.api(env=version(self._folder, name)).url
        client = httpx.Client(base_url=url, timeout=30)
        self.apart = Harness(self.apart.stack, client, self.apart.queue, self.apart.folder)
        return self

    def worker(self, name: str, backoff_s: float = 1.0) -> Process:
        """One more worker of this version."""
        return self.apart.worker(name, 1, **version(self._folder, name, backoff_s))

    def ran_on(self, job_id: str) -> str:
        """The version whose worker ended the job well, at its first try."""
        job = self.apart.reaches(job_id, "SUCCESS")
        assert (job["attempt"], job["crashes"], job["losses"]) == (1, 0, 0)
        return str(job["result"]["version"])


@pytest.fixture
def deploy(apart: Harness) -> Deploy:
    return Deploy(apart)


@pytest.mark.parametrize(("api", "worker"), cases([("new", "old"), ("old", "new")]))
def test_a_job_that_either_version_can_read_runs_on_whichever_worker_there_is(
    deploy: Deploy, api: str, worker: str
) -> None:
    deploy.api(api).worker(worker)
    job_id = deploy.apart.submit("versioned", {"n": 1})
    assert deploy.ran_on(job_id) == worker
    check(deploy.apart, [job_id])


def test_a_new_field_and_a_new_type_wait_for_a_new_worker_and_hold_up_nobody(deploy: Deploy) -> None:
    longrun = deploy.api("new").apart
    old = deploy.worker("old")
    new_type = longrun.submit("only_new", {"n": 1}, priority=9)
    new_field = longrun.submit("versioned", {"n": 1, "depth": 5}, priority=9)
    known = [longrun.submit("versioned", {"n": n}) for n in range(5)]
    assert {deploy.ran_on(job_id) for job_id in known} == {"old"}
    until(lambda: longrun.job(new_field)["refusals"] >= 2, what="the old worker gave it back twice")
    waiting = longrun.api.get(f"/tasks/{new_field}").json()
    assert (waiting["status"], waiting["tries"], waiting["error"]["kind"]) == ("PENDING", 0, "invalid")
    assert longrun.job(new_type)["fence"] == 0, "a worker claims only types that it knows"
    deploy.worker("new")
    old.terminate()
    assert {deploy.ran_on(job_id) for job_id in (new_type, new_field)} == {"new"}
    check(longrun, [new_type, new_field, *known])


def test_an_input_that_no_worker_can_read_fails_in_the_end_and_says_why(deploy: Deploy) -> None:
    longrun = deploy.api("new").apart
    deploy.worker("old", backoff_s=0.3)
    job = longrun.reaches(longrun.submit("versioned", {"n": 1, "depth": 5}), "FAILED")
    assert job["error"]["kind"] == "invalid"
    assert "input.depth" in job["error"]["message"]
    refused = [event for event in longrun.events(str(job["id"])) if event["data"].get("reason") == "handed_back"]
    assert len(refused) == REFUSALS_MAX
    check(longrun, [str(job["id"])])
