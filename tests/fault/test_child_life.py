"""What one job does to its process is no other job's: a child that may be harmed is replaced, the rest is put back."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.harness import Harness, gone
from tests.invariants import check
from tests.thorough import cases
from tests.waiting import until

pytestmark = pytest.mark.fault

SLOW_MODULE = """
import builtins, time
if hasattr(builtins, "_slow_module_began"):
    raise ImportError("cannot load module more than once per process")  # as numpy says
builtins._slow_module_began = True
{body}
"""


def module(folder: Path, body: str) -> dict[str, str]:
    """The input of a job that imports this once-only module."""
    (folder / "slow_module.py").write_text(SLOW_MODULE.format(body=body))
    return {"folder": str(folder)}


def result(longrun: Harness, job_id: str) -> dict[str, object]:
    job = longrun.reaches(job_id, "SUCCESS")
    return dict(job["result"])


def test_a_job_that_is_stopped_within_an_import_leaves_no_child_in_which_others_fail(
    apart: Harness, tmp_path: Path
) -> None:
    apart.worker(concurrency=1)
    slow = apart.submit("test_import", module(tmp_path, "time.sleep(60)"), timeout_s=0.7)
    assert apart.reaches(slow, "FAILED")["error"]["kind"] == "timeout"
    again = [apart.submit("test_import", module(tmp_path, "")) for _ in range(2)]
    apart.all_reach(again, "SUCCESS")
    check(apart, [slow, *again])


def test_a_job_that_fails_within_an_import_leaves_no_child_in_which_others_fail(apart: Harness, tmp_path: Path) -> None:
    apart.worker(concurrency=1)
    broken = apart.submit("test_import", module(tmp_path, "raise OSError('the disk did not answer')"))
    assert apart.reaches(broken, "FAILED")["error"]["type"] == "OSError"
    again = apart.submit("test_import", module(tmp_path, ""))
    apart.reaches(again, "SUCCESS")
    check(apart, [broken, again])


def test_a_child_that_was_interrupted_is_replaced_and_what_it_held_runs(apart: Harness) -> None:
    apart.worker(concurrency=1, LONGRUN_CANCEL_SIGNAL_S="0.2")
    running = apart.tick(600)
    pid = apart.runs(running).pid
    waiting = [apart.submit("test_pid") for _ in range(20)]
    apart.api.delete(f"/tasks/{running}")
    assert apart.stopped(running)["cancel_method"] == "signal"
    apart.all_reach(waiting, "SUCCESS")
    assert pid not in {result(apart, job_id)["pid"] for job_id in waiting}
    until(lambda: gone(pid), what="the interrupted child is gone")
    assert {apart.job(job_id)["fence"] for job_id in waiting} == {1}
    check(apart, [running, *waiting])


def test_a_child_in_which_jobs_end_as_they_should_stays(apart: Harness) -> None:
    apart.worker(concurrency=1)
    jobs = [apart.submit("test_flaky", {"failures": 1}), *(apart.submit("test_pid") for _ in range(5))]
    apart.all_reach(jobs, "SUCCESS")
    assert len({result(apart, job_id)["pid"] for job_id in jobs[1:]}) == 1


@pytest.mark.parametrize("method", cases(["fork", "spawn", "forkserver"]))
def test_a_task_may_start_processes_of_its_own(apart: Harness, method: str) -> None:
    apart.worker(concurrency=1)
    job_id = apart.submit("test_multiprocessing", {"method": method})
    facts = apart.reaches(job_id, "SUCCESS")["result"]["facts"]
    assert facts == {"exit": 0, "terminated": -signal.SIGTERM, "pool": [0, 1, 4, 9], "executor": [0, 1, 4, 9]}
    check(apart, [job_id])


@pytest.mark.parametrize(("how", "code"), cases([("returns", 0), ("raises", 1), ("exits", 3)]))
def test_a_process_that_a_task_forks_never_goes_on_as_the_child(apart: Harness, how: str, code: int) -> None:
    apart.worker(concurrency=1)
    jobs = [apart.submit("test_fork", {"text": how}) for _ in range(3)]
    assert [result(apart, job_id)["facts"] for job_id in jobs] == 3 * [{"code": code}]
    check(apart, jobs)


def test_processes_that_a_task_forks_share_none_of_its_connections(apart: Harness) -> None:
    apart.worker(concurrency=1)
    apart.reaches(apart.submit("test_pid"), "SUCCESS")
    job_id = apart.submit("test_context_in_forks")
    assert result(apart, job_id)["facts"] == {"codes": [0, 0, 0]}
    assert len([event for event in apart.events(job_id) if event["kind"] == "checkpoint"]) == 4 * 20
    check(apart, [job_id])


@pytest.mark.parametrize("task_type", ["test_forks_talk", "test_forks_talk_in_thread"])
def test_what_a_task_and_its_forks_say_is_stored_once_and_no_fork_waits_for_a_thread_that_it_has_not(
    apart: Harness, task_type: str
) -> None:
    worker = apart.worker(concurrency=1)
    forks = 8
    job_id = apart.submit(task_type, {"forks": forks})
    assert apart.reaches(job_id, "SUCCESS")["result"] == forks * [0]
    events = [(event["kind"], event["data"]) for event in apart.events(job_id)]
    lines = [data["message"] for kind, data in events if kind == "log"]
    assert sorted(lines) == sorted(["before the forks", *(f"fork {number}" for number in range(forks))])
    assert sorted(data["data"] for kind, data in events if kind == "output") == list(range(-1, forks))
    for what in ("prints", "warns"):
        assert [worker.log().count(f"fork {number} {what}") for number in range(forks)] == forks * [1]
    check(apart, [job_id])


def test_what_a_task_leaves_in_its_process_is_gone_for_the_next(apart: Harness, tmp_path: Path) -> None:
    apart.worker(concurrency=1)
    before = result(apart, apart.submit("test_state"))
    left = result(apart, apart.submit("test_mess", {"folder": str(tmp_path)}))
    assert left["pid"] == before["facts"]["pid"]  # type: ignore[index]
    assert result(apart, apart.submit("test_state")) == before
    later = apart.tick(1.5)  # its alarm would have ended this one
    assert apart.runs(later).pid == left["pid"]
    assert apart.reaches(later, "SUCCESS")["fence"] == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_child_whose_task_changed_what_cannot_be_put_back_is_replaced(apart: Harness) -> None:
    apart.worker(concurrency=1)
    changed = result(apart, apart.submit("test_other_user"))
    assert result(apart, apart.submit("test_pid"))["pid"] != changed["pid"]


def test_a_cancel_reaches_the_next_job_of_a_child_whose_task_took_the_signal_away(
    apart: Harness, tmp_path: Path
) -> None:
    apart.worker(concurrency=1, LONGRUN_CANCEL_SIGNAL_S="0.2")
    result(apart, apart.submit("test_mess", {"folder": str(tmp_path)}))
    running = apart.tick(600)
    apart.runs(running)
    apart.api.delete(f"/tasks/{running}")
    assert apart.stopped(running)["cancel_method"] == "signal"


@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_a_job_that_took_the_signal_away_is_stopped_by_it_and_says_so(apart: Harness, how: str) -> None:
    """Its process dies of the signal: our doing, not a crash of the job's or the loss of a worker."""
    apart.worker(concurrency=1, LONGRUN_CANCEL_SIGNAL_S="0.2")
    options = {"timeout_s": 1} if how == "timeout" else {}
    job_id = apart.submit("test_default_signal", {"folder": str(apart.folder)}, **options)
    apart.runs(job_id)
    if how == "cancel":
        apart.api.delete(f"/tasks/{job_id}")
        assert apart.stopped(job_id)["cancel_method"] == "kill"
    else:
        assert apart.reaches(job_id, "FAILED")["error"]["kind"] == "timeout"
    assert (apart.job(job_id)["crashes"], apart.job(job_id)["losses"]) == (0, 0)
    check(apart, [job_id])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_program_that_a_task_starts_ignores_no_signal_that_ends_programs(apart: Harness) -> None:
    apart.worker(concurrency=1)
    ignored = result(apart, apart.submit("test_sigint_of_program"))["facts"]["ignored"]  # type: ignore[index]
    assert not {signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR2} & set(ignored)


def test_what_a_task_prints_and_logs_carries_its_job_in_the_workers_log(apart: Harness) -> None:
    worker = apart.worker(concurrency=1, LONGRUN_LOG_FORMAT="console")
    job_id = apart.submit("test_say", {"text": "something"})
    apart.reaches(job_id, "SUCCESS")
    for said in (
        "printed something",
        "printed to stderr",
        "begun",
        "logged something",
        "[py.warnings]",
        "printed by a thread",
        "logged by a thread",
    ):
        line = next(line for line in worker.log().splitlines() if said in line)
        assert f"job_id={job_id}" in line
