"""What Celery offers and Longrun cannot live with: refused with one line, or without effect."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobcore.broker.connection import create_sender
from jobcore.settings import CoreSettings
from longrun_local import services
from tests.harness import ROOT, Harness, children, environment
from tests.invariants import check
from tests.processes import READY_S
from tests.thorough import cases
from tests.waiting import until

pytestmark = pytest.mark.fault

FLOWER_CONFIG = ROOT / "charts/longrun/files/celeryconfig.py"
REFUSED = {
    "-P solo": "start the worker without -P",
    "-P threads": "start the worker without -P",
    "-P gevent": "start the worker without -P",
    "-P eventlet": "start the worker without -P",
    "--autoscale=4,1": "set LONGRUN_WORKER_CONCURRENCY",
    "-c -1": "must be from 1 to 256",
    "-c 257": "must be from 1 to 256",
    "--time-limit=5": "timeout_s",
    "--soft-time-limit=5": "timeout_s",
}
COMMANDS: dict[str, dict[str, Any]] = {
    "shutdown": {},
    "cancel_consumer": {"queue": "QUEUE"},
    "pool_grow": {"n": 2},
    "pool_shrink": {"n": 1},
    "pool_restart": {},
    "autoscale": {"max": 8, "min": 1},
    "rate_limit": {"task_name": "jobcore.work", "rate_limit": "1/h"},
    "time_limit": {"task_name": "jobcore.work", "hard": 0.1},
}


@pytest.mark.parametrize("option", cases(REFUSED, always=2))
def test_an_option_that_breaks_promises_is_refused_with_one_line(apart: Harness, option: str) -> None:
    pool = option.removeprefix("-P ")
    if pool in ("gevent", "eventlet") and not importlib.util.find_spec(pool):
        pytest.skip(f"without {pool} installed Celery ends before it loads an application")
    refused = apart.stack.start("refused", [*services.worker(services.WORKER_APP, "refused"), *option.split()])
    assert refused.wait(60) != 0
    said = [line for line in refused.log().splitlines() if line.startswith("longrun:")]
    assert len(said) == 1, refused.log()
    assert REFUSED[option] in said[0]
    assert "Traceback" not in refused.log()
    until(lambda: not refused.pids, what="nothing is left of it")


@pytest.mark.parametrize(
    "option", cases(["-P prefork", "-c 3", "--max-tasks-per-child=1", "--max-memory-per-child=1000"])
)
def test_an_option_of_the_pool_that_is_not_refused_works(apart: Harness, option: str) -> None:
    count = 3 if option == "-c 3" else 2
    command = [*services.worker(services.WORKER_APP, "optional"), *option.split()]
    env = {"LONGRUN_QUEUES": apart.queue, "LONGRUN_WORKER_CONCURRENCY": "2"}
    worker = apart.stack.start("optional", command, {**environment(apart.stack.folder), **env})
    until(lambda: apart.worker_id(worker), READY_S, "the worker has registered")
    jobs = [apart.tick(600) for _ in range(count)]
    assert len({apart.runs(job_id).pid for job_id in jobs}) == count
    for job_id in jobs:
        apart.api.delete(f"/tasks/{job_id}")
        apart.stopped(job_id)
    more = [apart.submit() for _ in range(10)]
    apart.all_reach(more, "SUCCESS")
    until(lambda: len(children(worker)) == count, what="each child that left was replaced")
    check(apart, [*jobs, *more])


def test_a_worker_that_cannot_start_whole_does_not_start(apart: Harness, tmp_path: Path) -> None:
    """Celery goes on after a signal's handler has failed, with a worker that says `ready` and runs nothing."""
    (tmp_path / "file").touch()
    env = {"LONGRUN_HEARTBEAT_FILE": str(tmp_path / "file" / "heartbeat")}
    half = apart.stack.start("half", services.worker(services.WORKER_APP, "half"), env)
    assert half.wait(60) != 0
    assert "the worker ends: it failed to start" in half.log()
    assert " ready." not in half.log()


def test_a_worker_whose_children_cannot_start_ends(apart: Harness, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os\n"
        "main = os.getpid()\n"
        "true = os.setpgid\n"
        "def setpgid(pid, group):\n"
        "    if os.environ.get('BROKEN') and __import__('billiard').current_process().name != 'MainProcess':\n"
        "        raise OSError('no process groups here')\n"
        "    true(pid, group)\n"
        "os.setpgid = setpgid\n"
    )
    env = environment(apart.stack.folder)
    env["PYTHONPATH"] = f"{tmp_path}:{env['PYTHONPATH']}"
    half = apart.stack.start("half", services.worker(services.WORKER_APP, "half"), {**env, "BROKEN": "1"})
    assert half.wait(60) != 0
    assert "no process groups here" in half.log()
    until(lambda: not half.pids, what="nothing is left of it")


@pytest.mark.parametrize("command", cases(COMMANDS, always=2))
def test_who_reaches_redis_cannot_steer_a_worker(apart: Harness, command: str) -> None:
    worker = apart.worker(concurrency=2)
    before = {child.pid for child in children(worker)}
    control = create_sender(settings(apart)).control
    arguments = {key: apart.queue if value == "QUEUE" else value for key, value in COMMANDS[command].items()}
    assert not control.broadcast(command, arguments=arguments, reply=True, timeout=1)
    jobs = [apart.tick(0.5), apart.tick(0.5)]
    apart.all_reach(jobs, "SUCCESS")
    assert {apart.runs(job_id).pid for job_id in jobs} <= before
    assert worker.popen.poll() is None
    check(apart, jobs)


def test_with_remote_control_on_flower_sees_a_worker_and_its_size_stays(apart: Harness) -> None:
    worker = apart.worker("seen", concurrency=2, LONGRUN_REMOTE_CONTROL="true")
    control = create_sender(settings(apart)).control
    until(lambda: control.ping(timeout=1), what="it answers")
    for command in ("pool_grow", "pool_shrink"):
        ask = partial(control.broadcast, command, arguments={"n": 1}, reply=True, timeout=2)
        answer = until(ask, what=f"an answer to {command}")
        assert "LONGRUN_WORKER_CONCURRENCY" in str(answer), answer
    assert len(children(worker)) == 2
    running = apart.tick(1.5, max_attempts=1)
    apart.runs(running)
    control.shutdown()
    assert worker.wait() == 0
    assert apart.job(running)["status"] == "SUCCESS"
    check(apart, [running])


def test_an_unresponsive_worker_ends_although_a_job_runs(apart: Harness) -> None:
    """Remote control stands for whatever makes a main process unresponsive."""
    unresponsive = apart.worker("unresponsive", concurrency=2, LONGRUN_REMOTE_CONTROL="true", LONGRUN_DRAIN_S="3")
    running = apart.tick(600, max_attempts=1)
    apart.runs(running)
    control = create_sender(settings(apart)).control
    until(lambda: control.cancel_consumer(apart.queue, reply=True, timeout=1), what="it answers")
    waiting = apart.submit()
    assert unresponsive.wait(100) != 0, "whoever started it must start it again"
    assert "takes no wake-ups although some wait" in unresponsive.log()
    until(lambda: not unresponsive.pids, what="nothing is left of it")
    handed_back = apart.job(running)
    assert (handed_back["status"], handed_back["attempt"], handed_back["losses"]) == ("PENDING", 0, 0)
    apart.worker("next")
    apart.reaches(waiting, "SUCCESS")
    assert apart.runs(running, fence=2)
    apart.api.delete(f"/tasks/{running}")
    apart.stopped(running)
    check(apart, [running, waiting])


@pytest.mark.parametrize("option", cases(["--prefetch-multiplier=8", "--disable-prefetch"]))
def test_no_option_lets_a_job_wait_behind_a_long_one_while_a_child_is_idle(apart: Harness, option: str) -> None:
    command = [*services.worker(services.WORKER_APP, "optional"), *option.split()]
    env = {"LONGRUN_QUEUES": apart.queue, "LONGRUN_WORKER_CONCURRENCY": "2"}
    worker = apart.stack.start("optional", command, {**environment(apart.stack.folder), **env})
    until(lambda: apart.worker_id(worker), READY_S, "the worker has registered")
    long = apart.tick(600)
    apart.runs(long)
    for _ in range(10):
        apart.reaches(apart.submit(), "SUCCESS")
    apart.api.delete(f"/tasks/{long}")
    apart.stopped(long)


def test_flowers_configuration_finds_the_workers(apart: Harness) -> None:
    """`celery inspect` as Flower's image would run it, without any code of Longrun's."""
    apart.worker("seen", concurrency=2, LONGRUN_REMOTE_CONTROL="true")
    env = {**os.environ, "PYTHONPATH": str(FLOWER_CONFIG.parent), "CELERY_BROKER_URL": apart.stack.redis_url}
    command = [sys.executable, "-m", "celery", "inspect", "--timeout", "2", "active_queues"]

    def said() -> str:
        return subprocess.run(command, env=env, cwd=apart.folder, capture_output=True, text=True, check=False).stdout

    until(lambda: apart.queue in said(), what="a worker says which queue it serves")


def settings(apart: Harness) -> CoreSettings:
    return CoreSettings(DATABASE_URL=apart.stack.database_url, REDIS_URL=apart.stack.redis_url)
