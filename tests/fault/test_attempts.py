"""Attempts on real processes: steps are not done again, a retry by hand goes on where the job was, delays are kept."""

from __future__ import annotations

import httpx
import pytest

from tests.harness import Harness
from tests.invariants import check
from tests.waiting import until

pytestmark = pytest.mark.fault


def effects(longrun: Harness, job_id: str) -> list[int]:
    """Which steps were really done, in order."""
    return [int(line) for line in (longrun.folder / f"{job_id}.effects").read_text().split()]


def attempts(longrun: Harness, job_id: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = longrun.api.get(f"/tasks/{job_id}/attempts").json()["items"]
    return found


@pytest.mark.parametrize("dies_after", [1, 2])
def test_a_process_killed_between_two_steps_repeats_neither(longrun: Harness, dies_after: int) -> None:
    job_id = longrun.submit("test_steps", {"folder": str(longrun.folder), "dies_after": dies_after})
    job = longrun.reaches(job_id, "SUCCESS")
    assert effects(longrun, job_id) == [0, 1, 2]
    fences = [result["fence"] for result in job["result"]["results"]]
    assert fences == [1] * dies_after + [2] * (3 - dies_after), "what was stored is what the next run is given"
    assert [attempt["outcome"] for attempt in attempts(longrun, job_id)] == ["crashed", "success"]
    check(longrun, [job_id])


@pytest.mark.parametrize("kept", ["step", "checkpoint"])
def test_what_a_task_said_before_what_is_stored_is_stored_though_it_is_killed_then(longrun: Harness, kept: str) -> None:
    job_id = longrun.submit("test_last_words", {"kept": kept})
    longrun.reaches(job_id, "SUCCESS")
    story = [event for event in longrun.events(job_id) if event["attempt"] == 1]
    said = [event["data"]["message"] for event in story if event["kind"] == "log"]
    assert said == ["said before", *(["said within"] if kept == "step" else [])]
    assert [event["data"]["done"] for event in story if event["kind"] == "progress"] == [1]
    check(longrun, [job_id])


def test_a_job_that_used_up_its_tries_has_them_anew_when_retried_by_hand(longrun: Harness) -> None:
    job_id = longrun.submit("test_flaky", {"failures": 4}, max_attempts=2, retry={"backoff_s": 0, "jitter": 0})
    first = longrun.reaches(job_id, "FAILED")
    assert (first["attempt"], first["fence"]) == (2, 2)
    assert longrun.api.post(f"/tasks/{job_id}/retry").status_code == httpx.codes.ACCEPTED
    until(lambda: longrun.job(job_id)["attempt"] == 4 and longrun.reaches(job_id, "FAILED"), what="two tries more")
    assert longrun.api.post(f"/tasks/{job_id}/retry").status_code == httpx.codes.ACCEPTED
    job = longrun.reaches(job_id, "SUCCESS")
    assert (job["attempt"], job["fence"], job["result"]) == (5, 5, {"fence": 5, "attempt": 5})
    told = attempts(longrun, job_id)
    assert [attempt["outcome"] for attempt in told] == ["retried", "failed", "retried", "failed", "success"]
    assert "in flaky" in told[0]["error"]["traceback"]  # type: ignore[index]
    assert "RuntimeError: failure 4" in told[3]["error"]["traceback"]  # type: ignore[index]
    assert told[0]["worker"]["host"]  # type: ignore[index]
    check(longrun, [job_id])


def test_a_cancelled_job_is_retried_only_after_its_process_has_stopped(longrun: Harness) -> None:
    job_id = longrun.submit("test_stubborn", {"seconds": 60, "folder": str(longrun.folder)})
    longrun.runs(job_id)
    longrun.api.delete(f"/tasks/{job_id}")
    early = longrun.api.post(f"/tasks/{job_id}/retry")
    assert early.status_code == httpx.codes.CONFLICT
    assert "still stopping" in early.json()["detail"]
    longrun.stopped(job_id)
    assert longrun.api.post(f"/tasks/{job_id}/retry").status_code == httpx.codes.ACCEPTED
    longrun.runs(job_id, fence=2)
    longrun.api.delete(f"/tasks/{job_id}")
    longrun.stopped(job_id)
    assert [attempt["outcome"] for attempt in attempts(longrun, job_id)] == ["cancelled", "cancelled"]
    check(longrun, [job_id])


def test_a_delay_that_the_task_asks_for_goes_before_every_backoff(longrun: Harness) -> None:
    job_id = longrun.submit("test_later", {"retry_after_s": 1.0})
    job = longrun.reaches(job_id, "SUCCESS")
    assert job["attempt"] == 2
    starts = [event["at"] for event in longrun.events(job_id) if event["data"].get("status") == "RUNNING"]
    assert 1.0 <= (starts[1] - starts[0]).total_seconds() < 3600, "the backoff of its type"
    check(longrun, [job_id])
