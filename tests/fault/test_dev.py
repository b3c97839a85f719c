"""What `longrun dev` promises: a save is served, a mistake costs nothing that runs, and Ctrl-C ends all of it."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from longrun_client import Longrun, Status
from longrun_local import sessions
from longrun_local.postgres import EmbeddedPostgres
from longrun_local.valkey import EmbeddedValkey
from tests.fault.launched import Launched, stop_leftovers
from tests.thorough import cases
from tests.waiting import until

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]

GREET = """
from jobcore import JobContext, task

@task(queue="greetings")
def greet(name: str) -> str:
    return f"Hello, {name}!"
"""
COUNT = """
import time
from jobcore import JobContext, task

ENDS = False

@task
def count(ctx: JobContext) -> int:
    number = ctx.checkpoint_state or 0
    while not ENDS:
        number += 1
        ctx.checkpoint(number)
        time.sleep(0.1)
    return number
"""
GATED = """
import pathlib, time
while not pathlib.Path(__file__).with_name("go").exists():
    time.sleep(0.02)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a launcher's home; what a failed test left running there is stopped."""
    yield tmp_path
    stop_leftovers(tmp_path)


@pytest.fixture
def own_servers(postgres: EmbeddedPostgres, redis_server: EmbeddedValkey) -> dict[str, str]:
    """Settings for servers that run already, for promises that are not about servers."""
    return {"DATABASE_URL": postgres.url, "REDIS_URL": redis_server.url, "PYTHONDONTWRITEBYTECODE": ""}


@pytest.fixture
def tasks(folder: Path) -> Path:
    """The user's file."""
    path = folder / "source" / "greetings.py"
    path.parent.mkdir()
    path.write_text(GREET)
    return path


def worker_pid(line: str) -> int:
    return int(line.rsplit(maxsplit=1)[-1])


@contextmanager
def knocking(url: str) -> Iterator[list[OSError]]:
    """Connect over and over within the block; yields how that failed."""
    failed: list[OSError] = []
    over = threading.Event()

    def knock() -> None:
        address = urlsplit(url)
        while not over.wait(0.01):
            try:
                socket.create_connection((address.hostname or "", address.port or 0)).close()
            except OSError as error:
                failed.append(error)

    with ThreadPoolExecutor(1) as executor:
        knocks = executor.submit(knock)
        try:
            yield failed
        finally:
            over.set()
            knocks.result()


def servers() -> set[int]:
    """The process ids of databases that the tests' processes started."""
    return {
        process.pid
        for process in psutil.process_iter(["name"])
        if process.info["name"] in {"postgres", "valkey-server"}
    }


def test_a_save_is_served_and_a_running_job_is_handed_back_while_the_servers_stay(folder: Path, tasks: Path) -> None:
    other = tasks.with_name("counting.py")
    other.write_text(COUNT)
    with Launched(folder, "dev", tasks=[tasks, other]) as run, Longrun(run.url) as client:
        run.until("Save a file of yours")
        assert any("count, cpu_burn, echo, greet" in line for line in run.seen)
        pids = {child.pid for child in psutil.Process(run.process.pid).children() if child.pid in servers()}
        assert len(pids) == 2
        assert client.wait(client.submit("greet", {"name": "Ada"}).task_id).result == "Hello, Ada!"
        slow = client.submit("count", {})
        next(event for event in client.stream(slow.task_id) if event.kind == "checkpoint" and event.attempt == 1)

        with knocking(run.url) as refused:
            tasks.write_text(GREET.replace("Hello", "Good morning"))
            other.write_text(COUNT.replace("ENDS = False", "ENDS = True"))
            run.until("longrun  | restarted in")
        assert refused == [], "connections wait for the new API"
        assert client.wait(client.submit("greet", {"name": "Ada"}).task_id).result == "Good morning, Ada!"
        assert client.wait(slow.task_id, timeout_s=120).result >= 1, "the saved version continued it"
        handed_back, finished = list(client.attempts(slow.task_id))
        assert (handed_back.outcome, handed_back.attempt) == ("handed_back", 1)
        assert (finished.outcome, finished.attempt) == ("success", 1)
        assert pids <= {child.pid for child in psutil.Process(run.process.pid).children()}
        run.interrupt()
        code, shown = run.end()
    assert code == 0
    assert "Traceback" not in shown
    assert run.home.leftovers() == []


def test_a_mistake_is_told_in_one_line_and_what_runs_goes_on_until_the_next_good_save(
    folder: Path, tasks: Path, own_servers: dict[str, str]
) -> None:
    with Launched(folder, env=own_servers, tasks=[tasks]) as run:
        run.until_all_up()
        pid = worker_pid(run.first("worker   | up as"))
        tasks.write_text(GREET + "def (:\n")
        line = run.until("longrun  | cannot import")
        assert "cannot import greetings.py: SyntaxError: invalid syntax (greetings.py, line 7)" in line
        assert psutil.pid_exists(pid)
        tasks.write_text(GREET + "import os; os._exit(3)\n")
        run.until("the process that imports the modules of task types exited with code 3")
        assert psutil.pid_exists(pid)
        tasks.write_text(GREET.replace("greet", "salute"))
        run.until("longrun  | restarted in", "with salute", "worker   | up as")
        until(lambda: sessions.members(pid) == [])


def test_a_file_that_is_broken_from_the_start_is_named_in_the_banner_and_mended_by_a_save(
    folder: Path, tasks: Path, own_servers: dict[str, str]
) -> None:
    tasks.write_text("import no_such_library\n")
    with Launched(folder, env=own_servers, tasks=[tasks]) as run:
        run.until("cannot import greetings.py: ModuleNotFoundError: No module named 'no_such_library'", "Ctrl-C stops")
        tasks.write_text("import no_other_library\n")
        run.until("longrun  | cannot import greetings.py: ModuleNotFoundError: No module named 'no_other_library'")
        tasks.write_text(GREET)
        assert "with greet" in run.until("longrun  | restarted in")


def test_a_save_within_the_same_second_and_of_the_same_size_is_not_taken_for_the_old_one(
    folder: Path, tasks: Path, own_servers: dict[str, str]
) -> None:
    tasks.write_text(GREET + "1 / 1\n")
    os.utime(tasks, ns=(10**18 + 1, 10**18 + 1))
    with Launched(folder, env=own_servers, tasks=[tasks]) as run:
        run.until_all_up()
        changed = tasks.with_name("new")
        changed.write_text(GREET + "1 / 0\n")
        os.utime(changed, ns=(10**18 + 2, 10**18 + 2))
        changed.rename(tasks)
        run.until("longrun  | greetings.py changed")
        assert "cannot import greetings.py: ZeroDivisionError" in run.until("longrun  | ")


def test_a_burst_of_saves_is_one_restart_with_the_last_of_them(
    folder: Path, tasks: Path, own_servers: dict[str, str]
) -> None:
    with Launched(folder, env=own_servers, tasks=[tasks]) as run:
        run.until_all_up()
        for number in range(5):
            tasks.write_text(GATED + GREET.replace("greet", f"greet_{number}"))
            run.until("longrun  | greetings.py changed")
        tasks.with_name("go").touch()
        assert "with greet_4" in run.until("longrun  | restarted in")
        run.interrupt()
        code, shown = run.end()
    assert code == 0
    assert shown.count("worker   | up as") <= 2
    assert shown.count("longrun  | restarted in") == 1


@pytest.mark.parametrize("moment", cases(["greetings.py changed", "worker   | draining", "worker   | up as"]))
def test_ctrl_c_in_the_middle_of_a_restart_ends_everything(
    folder: Path, tasks: Path, own_servers: dict[str, str], moment: str
) -> None:
    with Launched(folder, env=own_servers, tasks=[tasks]) as run:
        run.until_all_up()
        tasks.write_text(GREET.replace("Hello", "Good morning"))
        run.until(moment)
        run.interrupt()
        code, shown = run.end()
    assert code == 0
    assert "Traceback" not in shown
    assert shown.endswith("longrun  | stopped\n")
    assert run.home.leftovers() == []


def test_a_worker_that_does_not_end_delays_neither_its_successor_nor_ctrl_c(
    folder: Path, tasks: Path, own_servers: dict[str, str]
) -> None:
    with Launched(folder, env={"STUBBORN": "yes", "LONGRUN_DRAIN_S": "0.1", **own_servers}, tasks=[tasks]) as run:
        run.until_all_up()
        pid = worker_pid(run.first("worker   | up as"))
        tasks.write_text(GREET.replace("Hello", "Good morning"))
        assert worker_pid(run.until("worker   | up as")) != pid
        run.interrupt()
        run.interrupt()
        assert run.end()[0] == 0
        assert run.home.leftovers() == []


@pytest.mark.parametrize(
    ("name", "why"),
    [("nothing.py", "nothing.py: there is no such file or folder"), ("", "name your file of task types")],
)
def test_a_file_that_does_not_exist_is_refused_before_anything_starts(folder: Path, name: str, why: str) -> None:
    with Launched(folder, "dev", tasks=[folder / name] if name else []) as run:
        code, shown = run.end()
    assert code == 2
    assert why in shown
    assert not run.home.path.exists()


def test_make_run_names_a_broken_module_once_and_serves_the_rest(
    folder: Path, tasks: Path, database_url: str, redis_url: str
) -> None:
    broken = tasks.with_name("broken.py")
    broken.write_text(GREET.replace("greet", "half") + "1 / 0\n")
    env = {"LONGRUN_TASKS": f"{broken},{tasks}", "DATABASE_URL": database_url, "REDIS_URL": redis_url}
    with Launched(folder, "real", env) as run, Longrun(run.url) as client:
        run.until("Ctrl-C stops everything")
        [line] = [line for line in run.seen if line.startswith("    cannot import")]
        assert line == "    cannot import broken.py: ZeroDivisionError: division by zero (broken.py:7)\n"
        assert client.wait(client.submit("greet", {"name": "Ada"}).task_id).status is Status.SUCCESS
        assert "half" not in {each.name for each in client.task_types()}
        run.process.send_signal(signal.SIGTERM)
        code, shown = run.end()
    assert code == 0
    assert "restarting it in" not in shown
