"""Whatever a task starts dies with its run: before the receipt, before the outcome is stored, before the next run."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fault.tasks_that_start import KINDS, alive
from tests.harness import NOTICED_S, Harness, supervisor
from tests.invariants import check
from tests.processes import Process
from tests.thorough import cases
from tests.waiting import until

pytestmark = [pytest.mark.fault, pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")]

ALL = list(KINDS)
MARKED = [kind for kind in ALL if kind != "bare"]
"""What is found even if the main process is dead too."""


@pytest.fixture(autouse=True)
def end_survivors(tmp_path: Path) -> Iterator[None]:
    """End what a failed test leaves, some of which goes on for ever."""
    yield
    while survivors := alive(sorted(tmp_path.glob("*.signs"))):
        for pid in survivors:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def files(longrun: Harness, job_id: str) -> list[Path]:
    return sorted(longrun.folder.glob(f"{job_id}.*.signs"))


def started(longrun: Harness, ending: str, kinds: list[str] | None = None, **options: object) -> str:
    """A job whose run has started processes, and ends in this way."""
    job_id = longrun.submit(
        "test_leave", {"folder": str(longrun.folder), "kinds": kinds or ALL, "ending": ending}, **options
    )
    longrun.runs(job_id)
    return job_id


def assert_dead(longrun: Harness, job_id: str, before: float, what: str) -> None:
    """AssertionError names each kind of process that gave a sign of life after this time, or is alive now."""
    late = {}
    for path in files(longrun, job_id):
        at = max(float(line.split()[1]) for line in path.read_text().splitlines() if len(line.split()) == 2)
        if at > before or alive([path]):
            late[path.name.split(".")[1]] = (round(at - before, 3), sorted(alive([path])))
    assert len(files(longrun, job_id)) > 0
    assert not late, f"alive after {what}, for seconds, and now: {late}"


def assert_next_run_was_alone(longrun: Harness, job_id: str) -> None:
    job = longrun.reaches(job_id, "SUCCESS")
    assert job["result"]["fence"] > 1
    assert job["result"]["alive"] == []
    assert_dead(longrun, job_id, job["result"]["began_at"], "the next attempt began")
    check(longrun, [job_id])


def warnings(longrun: Harness, job_id: str) -> list[str]:
    lines = [event["data"] for event in longrun.events(job_id) if event["kind"] == "log"]
    return [line["message"] for line in lines if line["level"] == "warning"]


def test_what_a_run_left_is_dead_before_its_success_is_stored_and_the_log_names_it(apart: Harness) -> None:
    apart.worker(concurrency=1)
    job_id = started(apart, "returns")
    job = apart.reaches(job_id, "SUCCESS")
    assert_dead(apart, job_id, job["finished_at"].timestamp(), "the success")
    [warning] = warnings(apart, job_id)
    assert "processes running, which ended with it: " in warning
    assert "bash" in warning
    check(apart, [job_id])


def test_what_a_failed_run_left_is_dead_before_the_next_try(apart: Harness) -> None:
    apart.worker(concurrency=2)
    assert_next_run_was_alone(apart, started(apart, "raises"))


@pytest.mark.parametrize(("ending", "method"), [("polite", "cooperative"), ("deaf", "kill")])
def test_what_a_cancelled_run_started_is_dead_before_its_receipt_is_complete(
    apart: Harness, ending: str, method: str
) -> None:
    options = {"LONGRUN_CANCEL_SIGNAL_S": "0.2", "LONGRUN_CANCEL_KILL_S": "1"} if ending == "deaf" else {}
    apart.worker(concurrency=1, **options)
    job_id = started(apart, ending)
    apart.api.delete(f"/tasks/{job_id}")
    job = apart.stopped(job_id)
    assert job["cancel_method"] == method
    assert_dead(apart, job_id, job["cancel_stopped_at"].timestamp(), "the receipt")
    check(apart, [job_id])


@pytest.mark.parametrize("ending", cases(["deaf", "polite"]))
def test_what_a_run_past_its_timeout_started_is_dead_before_the_next_try(apart: Harness, ending: str) -> None:
    apart.worker(concurrency=2, LONGRUN_CANCEL_SIGNAL_S="0.2", LONGRUN_CANCEL_KILL_S="1")
    assert_next_run_was_alone(apart, started(apart, ending, timeout_s=20))


@pytest.mark.parametrize("ending", cases(["dies", "exits"]))
def test_what_a_child_that_died_had_started_is_dead_before_its_job_runs_again(apart: Harness, ending: str) -> None:
    apart.worker(concurrency=2)
    job_id = started(apart, ending)
    assert_next_run_was_alone(apart, job_id)
    assert apart.job(job_id)["crashes"] == 1


def test_what_a_killed_child_had_started_is_dead_before_the_receipt_of_its_cancelled_job(apart: Harness) -> None:
    apart.worker(concurrency=1, LONGRUN_CANCEL_SIGNAL_S="30", LONGRUN_CANCEL_KILL_S="60")
    job_id = started(apart, "deaf")
    apart.api.delete(f"/tasks/{job_id}")
    os.kill(apart.runs(job_id).pid, signal.SIGKILL)
    job = apart.stopped(job_id)
    assert_dead(apart, job_id, job["cancel_stopped_at"].timestamp(), "the receipt")


@pytest.mark.parametrize("signum", cases([signal.SIGTERM, signal.SIGQUIT]))
@pytest.mark.parametrize("ending", cases(["deaf", "polite"]))
def test_what_a_run_that_is_handed_back_started_is_dead_before_it_runs_again(
    apart: Harness, signum: signal.Signals, ending: str
) -> None:
    leaving = apart.worker("leaving", 1, LONGRUN_DRAIN_S="1", LONGRUN_CANCEL_SIGNAL_S="0.2", LONGRUN_CANCEL_KILL_S="1")
    job_id = started(apart, ending)
    apart.worker("heir", 1)
    leaving.send(signum)
    assert_next_run_was_alone(apart, job_id)
    leaving.wait()


def test_what_a_worker_that_lost_its_lease_had_started_is_dead_before_its_job_runs_again(apart: Harness) -> None:
    lost = apart.worker("lost", 1)
    job_id = started(apart, "deaf")
    apart.sql("UPDATE workers SET state = 'dead' WHERE id = %s", apart.worker_id(lost))
    assert_next_run_was_alone(apart, job_id)


@pytest.mark.parametrize("freeze", cases([False, True]), ids=["supervisor alive", "supervisor frozen"])
def test_what_a_worker_that_is_parted_from_postgres_started_is_dead_by_the_leases_end(
    apart: Harness, freeze: bool
) -> None:
    parted = apart.worker("parted", 1)
    job_id = started(apart, "deaf")
    guard = supervisor(parted)
    guard.suspend() if freeze else apart.sql("UPDATE workers SET state = 'dead' WHERE id = %s", apart.worker_id(parted))
    until(lambda: not alive(files(apart, job_id)), NOTICED_S, "all processes of the run are dead")
    apart.worker("heir", 1)
    if freeze:
        guard.resume()
    assert_next_run_was_alone(apart, job_id)


@pytest.mark.parametrize("victim", cases(["main", "supervisor"]))
def test_what_a_worker_whose_process_is_killed_had_started_is_dead_before_its_job_runs_again(
    apart: Harness, victim: str
) -> None:
    doomed = apart.worker("doomed", 1)
    job_id = started(apart, "deaf", MARKED if victim == "main" else ALL)
    apart.worker("heir", 1)
    if victim == "main":
        doomed.kill()
    else:
        supervisor(doomed).kill()
    assert_next_run_was_alone(apart, job_id)


def test_what_a_worker_that_was_killed_as_a_whole_had_started_dies_when_a_worker_starts_on_its_host(
    apart: Harness,
) -> None:
    doomed = apart.worker("doomed", 1)
    job_id = started(apart, "deaf", MARKED)
    doomed.kill_group()
    assert alive(files(apart, job_id))
    apart.worker("heir", 1)
    assert_next_run_was_alone(apart, job_id)


def test_a_worker_that_starts_leaves_the_processes_of_others_alone(apart: Harness) -> None:
    apart.worker("first", 1)
    job_id = started(apart, "polite")
    before = alive(files(apart, job_id))
    apart.worker("second", 1)
    assert apart.reaches(apart.submit(), "SUCCESS")
    gone = before - alive(files(apart, job_id))
    assert {pid for pid in gone if pid in alive_but_changing(apart, job_id)} == gone
    apart.api.delete(f"/tasks/{job_id}")
    apart.stopped(job_id)


def alive_but_changing(longrun: Harness, job_id: str) -> set[int]:
    """The processes of the kind that replaces itself all the time."""
    return {int(line.split()[0]) for line in (longrun.folder / f"{job_id}.forks-on.signs").read_text().splitlines()}


def test_jobs_beside_one_whose_child_dies_keep_their_processes(apart: Harness) -> None:
    apart.worker(concurrency=2)
    kept = ["shell", "daemon", "bare", "mp-fork", "forked-daemon"]
    staying = started(apart, "polite", kept)
    assert_next_run_was_alone(apart, started(apart, "dies"))
    dead = [path.name for path in files(apart, staying) if not alive([path])]
    assert not dead
    apart.api.delete(f"/tasks/{staying}")
    apart.stopped(staying)


def zombies(worker: Process) -> list[str]:
    table = [Path(entry, "stat") for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    found = []
    for path in table:
        try:
            name, _, rest = path.read_text().rpartition(")")
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if state == "Z" and int(parent) in {worker.pid, *worker.pids}:
            found.append(name)
    return found


def test_nothing_that_dies_with_a_run_stays_unreaped(apart: Harness) -> None:
    worker = apart.worker(concurrency=2)
    ended = [started(apart, "returns"), started(apart, "dies")]
    apart.all_reach(ended, "SUCCESS")
    until(lambda: not zombies(worker), what=lambda: f"no zombies, but {zombies(worker)}")


def test_a_child_that_left_processes_runs_the_next_job(apart: Harness) -> None:
    apart.worker(concurrency=1)
    first = started(apart, "returns")
    pid = apart.runs(first).pid
    apart.reaches(first, "SUCCESS")
    again = apart.submit("test_pid")
    assert apart.reaches(again, "SUCCESS")["result"]["pid"] == pid
    assert not warnings(apart, again)
