"""`make run` with Longrun's own processes, and `make demo` against it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from longrun_client import Longrun, Status
from longrun_local.home import Home
from longrun_local.ports import free_port
from longrun_local.postgres import EmbeddedPostgres
from longrun_local.valkey import EmbeddedValkey
from tests.fault.launched import Launched

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A launcher's home for all tests here; what a failed test left running there is stopped."""
    path = tmp_path_factory.mktemp("whole")
    yield path
    Home(path / "home").stop_leftovers()
    EmbeddedPostgres(path / "home/data/postgres").stop_leftover()
    EmbeddedValkey(path / "home/data/valkey").stop_leftover()


def test_a_task_outlives_ctrl_c_and_history_the_restart(folder: Path) -> None:
    with Launched(folder, "real") as run, Longrun(run.url) as client:
        run.until("ready on")
        task = client.submit("sleep", {"seconds": 3, "steps": 3})
        assert any(event.status is Status.RUNNING for event in client.stream(task.task_id) if event.kind == "state")
        slow = client.submit("sleep", {"seconds": 4, "steps": 4})
        next(event for event in client.stream(slow.task_id) if event.status is Status.RUNNING)
        run.interrupt()
        code, shown = run.end()
        assert code == 0
        assert "Traceback" not in shown
        assert run.home.leftovers() == []
    with Launched(folder, "real") as run, Longrun(run.url) as client:
        run.until("ready on")
        assert client.get(task.task_id).status is Status.SUCCESS
        assert client.get(slow.task_id).status is Status.SUCCESS, "it had the drain time to finish"


@pytest.mark.thorough
def test_a_killed_worker_and_a_killed_launcher_cost_no_task(folder: Path) -> None:
    with Launched(folder, "real", {"LONGRUN_LEASE_S": "4", "LONGRUN_HEARTBEAT_S": "1"}) as run:
        run.until("ready on")
        with Longrun(run.url) as client:
            task = client.submit("sleep", {"seconds": 6, "steps": 60})
            next(event for event in client.stream(task.task_id) if event.status is Status.RUNNING)
            worker = next(worker for worker in client.workers() if worker.tasks)
            os.kill(worker.pid, signal.SIGKILL)
            run.until("longrun  | worker was killed by SIGKILL")
            run.process.kill()
            run.process.wait()
            with Launched(folder, "real", run.settings) as again:
                again.until("that an earlier, killed run left behind")
                again.until("ready on")
                assert client.wait(task.task_id, timeout_s=60).status is Status.SUCCESS
                again.interrupt()
                assert again.end()[0] == 0


@pytest.mark.thorough
def test_the_demo_scrapes_its_site_and_reads_every_encoding(folder: Path) -> None:
    with Launched(folder, "real") as run:
        run.until("ready on")
        demo = subprocess.run(
            [sys.executable, "-m", "longrun_local.demo"],
            env={**os.environ, **run.settings, "COLUMNS": "160"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert demo.returncode == 0, demo.stdout + demo.stderr
        for text in ("redirected to", "windows-1251", "Маяк Харбор-Пойнт", "shift_jis", "灯台へようこそ", "café"):
            assert text in demo.stdout


def test_the_demo_without_a_running_longrun_says_how_to_start_one() -> None:
    settings = {"LONGRUN_PORT": str(free_port()), "LONGRUN_DEMO_PORT": str(free_port())}
    demo = subprocess.run(
        [sys.executable, "-m", "longrun_local.demo"],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert demo.returncode == 1
    assert "longrun run-local" in demo.stderr
    assert "Traceback" not in demo.stderr
