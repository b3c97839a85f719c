"""Signals from outside: whoever sends whatever to whichever process of a worker, no running job is harmed by it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil
import pytest
import redis

from longrun_local import services
from tests.harness import Harness, children, environment, gone, supervisor
from tests.invariants import check
from tests.processes import READY_S, Process
from tests.thorough import cases
from tests.waiting import until

pytestmark = pytest.mark.fault

GRACE_S = 30.0
ENDING = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP]


def names(signals: list[signal.Signals]) -> list[str]:
    return [number.name for number in signals]


@pytest.mark.parametrize("number", cases([*ENDING, signal.SIGUSR1], always=2), ids=names([*ENDING, signal.SIGUSR1]))
def test_a_signal_to_a_child_lets_its_job_finish(apart: Harness, number: signal.Signals) -> None:
    worker = apart.worker(concurrency=1)
    job_id = apart.tick(1.5, max_attempts=1)
    pid = apart.runs(job_id).pid
    for _ in range(3):
        os.kill(pid, number)
    after = apart.submit("test_pid")
    job = apart.reaches(job_id, "SUCCESS")
    assert (job["fence"], job["attempt"], job["crashes"], job["losses"]) == (1, 1, 0, 0)
    ran_after = apart.reaches(after, "SUCCESS")["result"]["pid"]
    assert (ran_after == pid) is (number == signal.SIGUSR1), "a child that was to end is replaced"
    assert worker.popen.poll() is None
    check(apart, [job_id, after])


@pytest.mark.parametrize("number", cases(ENDING), ids=names(ENDING))
def test_a_signal_to_an_idle_child_costs_nothing(apart: Harness, number: signal.Signals) -> None:
    worker = apart.worker(concurrency=2)
    first = apart.reaches(apart.submit("test_pid"), "SUCCESS")["result"]["pid"]
    idle = [child.pid for child in children(worker)]
    for pid in idle:
        os.kill(pid, number)
    until(lambda: all(gone(pid) for pid in idle), what="the idle children are replaced")
    both = [apart.tick(600), apart.tick(600)]
    pids = {apart.runs(job_id).pid for job_id in both}
    assert len(pids) == 2
    assert first not in pids
    for job_id in both:
        apart.api.delete(f"/tasks/{job_id}")
        apart.stopped(job_id)
    check(apart, both)


@pytest.mark.thorough
def test_a_signal_to_a_child_that_was_just_forked_leaves_the_worker_in_service(apart: Harness) -> None:
    worker = apart.worker(concurrency=1)
    apart.reaches(apart.submit("test_pid"), "SUCCESS")
    [child] = children(worker)
    for _ in range(10):
        last = child.pid
        os.kill(last, signal.SIGTERM)
        [child] = until(partial(_successors, worker, last), READY_S, "its successor was forked")
    job_id = apart.tick(600)
    apart.runs(job_id)
    assert apart.worker_id(worker), "it does not drain"
    apart.api.delete(f"/tasks/{job_id}")
    apart.stopped(job_id)
    check(apart, [job_id])


def _successors(worker: Process, pid: int) -> list[psutil.Process]:
    return [child for child in children(worker) if child.pid != pid]


def test_sigterm_to_every_process_of_a_worker_drains_it(apart: Harness) -> None:
    """As systemd's KillMode=control-group and many a platform do."""
    leaving = apart.worker("leaving", concurrency=2, LONGRUN_DRAIN_S="4")
    short, long = apart.tick(1, max_attempts=1), apart.tick(600, max_attempts=1)
    apart.runs(short)
    apart.runs(long)
    leaving.send_group(signal.SIGTERM)
    assert leaving.wait(GRACE_S) == 0
    done, handed_back = apart.job(short), apart.job(long)
    assert (done["status"], done["fence"], done["attempt"]) == ("SUCCESS", 1, 1)
    assert (handed_back["status"], handed_back["attempt"]) == ("PENDING", 0)
    assert (handed_back["crashes"], handed_back["losses"]) == (0, 0)
    check(apart, [short, long], due=[long])
    apart.api.delete(f"/tasks/{long}")


def test_sighup_drains_a_worker_and_leaves_nothing_behind(apart: Harness) -> None:
    """Celery would start the program anew in the same process, beside the supervisor of before."""
    leaving = apart.worker("leaving", concurrency=1, LONGRUN_DRAIN_S="10")
    job_id = apart.tick(1)
    apart.runs(job_id)
    leaving.send(signal.SIGHUP)
    assert leaving.wait(GRACE_S) == 0
    until(lambda: not leaving.pids, what="nothing is left of the worker")
    assert apart.job(job_id)["status"] == "SUCCESS"
    check(apart, [job_id])


def test_sigquit_hands_running_jobs_back_at_once_with_their_try(apart: Harness) -> None:
    leaving = apart.worker("leaving", concurrency=2, LONGRUN_DRAIN_S="600")
    jobs = [apart.tick(600, max_attempts=1) for _ in range(2)]
    for job_id in jobs:
        apart.runs(job_id)
    leaving.send(signal.SIGQUIT)
    leaving.wait(GRACE_S)
    until(lambda: not leaving.pids, what="nothing is left of the worker")
    for job_id in jobs:
        job = apart.job(job_id)
        assert (job["status"], job["attempt"], job["crashes"], job["losses"]) == ("PENDING", 0, 0, 0)
    check(apart, jobs, due=jobs)
    apart.worker("next")
    for job_id in jobs:
        assert apart.runs(job_id, fence=2)
        apart.api.delete(f"/tasks/{job_id}")
        apart.stopped(job_id)
    check(apart, jobs)


@contextmanager
def in_a_terminal(apart: Harness, tmp_path: Path, **env: str) -> Iterator[tuple[Process, int]]:
    """A worker in the foreground of a terminal, and the terminal's keyboard."""
    keyboard, terminal = pty.openpty()
    command = ["setsid", "--ctty", "--wait", *services.worker(services.WORKER_APP, "foreground")]
    given = {**environment(apart.stack.folder), "LONGRUN_QUEUES": apart.queue, "LONGRUN_WORKER_CONCURRENCY": "2", **env}
    log = tmp_path / "foreground.log"
    with log.open("wb") as output:
        popen = subprocess.Popen(
            command,
            stdin=terminal,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=apart.stack._environment("foreground", given),
        )
    os.close(terminal)
    process = Process("foreground", popen, log)
    try:
        until(
            lambda: apart.sql("SELECT 1 FROM workers WHERE state = 'active' AND pid = %s", popen.pid),
            READY_S,
            "it runs",
        )
        yield process, keyboard
    finally:
        process.kill_group()
        os.close(keyboard)


def press_ctrl_c(keyboard: int) -> None:
    os.write(keyboard, b"\x03")


@pytest.mark.parametrize("presses", cases([1, 2, 3]))
def test_ctrl_c_in_a_terminal_drains_then_hands_back_then_ends(apart: Harness, tmp_path: Path, presses: int) -> None:
    with in_a_terminal(apart, tmp_path, LONGRUN_DRAIN_S="5", LONGRUN_CANCEL_KILL_S="8") as (worker, keyboard):
        short, long = (
            apart.tick(1.5 if presses == 1 else 600, max_attempts=1),
            apart.submit("test_stubborn", {"seconds": 600, "folder": str(apart.folder)}, max_attempts=1),
        )
        apart.runs(short)
        apart.runs(long)
        for understood in ("longrun: draining", "longrun: handing", "")[:presses]:
            press_ctrl_c(keyboard)
            until(partial(_says, worker, understood), what="it has understood")
        worker.wait(GRACE_S)
        until(lambda: not worker.pids, what="nothing is left of the worker")
        for job_id in (short, long):
            job = apart.job(job_id)
            assert (job["crashes"], job["losses"]) == (0, 0)
            assert (job["status"], job["attempt"]) in {("SUCCESS", 1), ("PENDING", 0)}
        assert apart.job(long)["status"] == "PENDING"
        assert (apart.job(short)["status"] == "SUCCESS") is (presses == 1)
        check(apart, [short, long], due=[short, long])
    for job_id in (short, long):
        apart.api.delete(f"/tasks/{job_id}")


def _says(worker: Process, what: str) -> bool:
    return what in worker.log()


def test_supervisor_and_main_process_outlive_signals_that_are_for_others(apart: Harness) -> None:
    worker = apart.worker(concurrency=1)
    for number in (*ENDING, signal.SIGUSR1, signal.SIGUSR2):
        supervisor(worker).send_signal(number)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        worker.send(number)
    job_id = apart.tick(0.5)
    assert apart.reaches(job_id, "SUCCESS")["fence"] == 1
    assert worker.popen.poll() is None


@pytest.mark.timeout(300)
@pytest.mark.thorough
def test_children_that_leave_again_and_again_keep_none_of_the_workers_wake_ups(apart: Harness) -> None:
    """A wake-up may be on its way to a child that leaves; if nobody acknowledges it, it counts as being worked on."""
    worker = apart.worker(concurrency=2)
    jobs = []
    for _ in range(40):
        jobs += [apart.submit("test_pid") for _ in range(3)]
        for child in children(worker):
            with suppress(psutil.NoSuchProcess):
                child.send_signal(signal.SIGTERM)
    apart.all_reach(jobs, "SUCCESS")
    with redis.Redis.from_url(apart.stack.redis_url, decode_responses=True) as client:

        def unacknowledged() -> list[str]:
            return [message for message in client.hvals("longrun:unacked") if apart.queue in message]

        until(lambda: not unacknowledged(), what="every wake-up is acknowledged")
    rows = [apart.job(job_id) for job_id in jobs]  # what a child had not begun was handed back
    assert {(row["attempt"], row["crashes"], row["losses"]) for row in rows} == {(1, 0, 0)}
    both = [apart.tick(600) for _ in range(2)]
    assert len({apart.runs(job_id).pid for job_id in both}) == 2
    for job_id in both:
        apart.api.delete(f"/tasks/{job_id}")
        apart.stopped(job_id)
    check(apart, [*jobs, *both])
