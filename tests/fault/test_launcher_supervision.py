"""What `make run` promises of its processes: they come back, they stop in order, none is left behind."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg2
import pytest

from longrun_local import sessions
from longrun_local.ports import free_port
from longrun_local.postgres import EmbeddedPostgres
from longrun_local.valkey import EmbeddedValkey
from tests.fault.launched import Launched, stop_leftovers
from tests.thorough import cases

pytestmark = pytest.mark.fault


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a launcher's home; what a failed test left running there is stopped."""
    yield tmp_path
    stop_leftovers(tmp_path)


@pytest.fixture
def own_servers(postgres: EmbeddedPostgres, redis_server: EmbeddedValkey) -> dict[str, str]:
    """Settings for servers that run already, for promises that are not about servers."""
    return {"DATABASE_URL": postgres.url, "REDIS_URL": redis_server.url}


def worker_pid(line: str) -> int:
    return int(line.rsplit(maxsplit=1)[-1])


def servers_of(folder: Path, *programs: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["name"]) if _serves(process, folder, programs)]


def _serves(process: psutil.Process, folder: Path, programs: tuple[str, ...]) -> bool:
    try:
        named = process.name() in (programs or ("postgres", "valkey-server"))
        return named and process.cwd().startswith(str(folder / "home/data"))
    except psutil.Error:
        return False


def listening_port(folder: Path, program: str) -> int:
    """The port of the server, as soon as it listens."""
    while True:
        for server in servers_of(folder, program):
            with suppress(psutil.Error):
                for connection in server.net_connections():
                    if connection.status == psutil.CONN_LISTEN:
                        return int(connection.laddr.port)


def test_a_killed_worker_is_started_again_and_said_so_in_one_line(folder: Path, own_servers: dict[str, str]) -> None:
    with Launched(folder, env=own_servers) as run:
        run.until_all_up()
        pid = worker_pid(run.first("worker   | up as"))
        os.kill(pid, signal.SIGKILL)
        line = run.until("longrun  | worker")
        assert line == "longrun  | worker was killed by SIGKILL; restarting it in 1 s\n"
        assert sessions.members(pid) == [], "what it had started is gone before its successor comes"
        assert worker_pid(run.until("worker   | up as")) != pid


@pytest.mark.parametrize(("name", "program"), [("postgres", "postgres"), ("valkey", "valkey-server")])
def test_a_killed_server_comes_back_at_the_same_address(folder: Path, name: str, program: str) -> None:
    with Launched(folder) as run:
        run.until("ready on")
        port = listening_port(folder, program)
        min((server.pid, server) for server in servers_of(folder, program))[1].kill()
        run.until(f"longrun  | {name} was killed by SIGKILL; restarting it in 1 s")
        assert listening_port(folder, program) == port


@pytest.mark.parametrize("signum", cases([signal.SIGINT, signal.SIGTERM, signal.SIGHUP]))
def test_a_signal_stops_everything_in_order_and_leaves_nothing(folder: Path, signum: signal.Signals) -> None:
    with Launched(folder) as run:
        run.until_all_up()
        run.process.send_signal(signum)
        code, shown = run.end()
        assert code == 0
        assert "Traceback" not in shown
        assert "exited" not in shown
        assert "worker   | draining" in shown
        assert shown.endswith("longrun  | stopped\n")
        assert run.home.leftovers() == []
        assert servers_of(folder) == []


def test_a_second_ctrl_c_does_not_wait_for_a_worker_that_never_ends(folder: Path, own_servers: dict[str, str]) -> None:
    with Launched(folder, env={"STUBBORN": "yes", **own_servers}) as run:
        run.until_all_up()
        run.interrupt()
        run.until("worker   | draining")
        assert run.process.poll() is None
        run.interrupt()
        assert run.end()[0] == 0
        assert run.home.leftovers() == []


def test_a_taken_port_is_named_before_anything_starts(folder: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), Launched(folder, env={"LONGRUN_PORT": str(port)}) as run:
        code, shown = run.end()
        assert code == 1
        assert f"port {port} on 127.0.0.1 is taken" in shown
        assert "LONGRUN_PORT=" in shown
        assert list(run.home.data.iterdir()) == []


def test_a_second_run_on_the_same_data_names_the_first(folder: Path, own_servers: dict[str, str]) -> None:
    with Launched(folder, env=own_servers) as first:
        first.until("ready on")
        with Launched(folder, env=own_servers) as second:
            code, shown = second.end()
        assert code == 1
        assert str(first.process.pid) in shown
        assert first.url in shown
        assert len(shown.splitlines()) == 1
        assert first.process.poll() is None
        assert len(first.home.leftovers()) > 0, "the first run's processes go on"


def test_a_run_after_a_killed_one_stops_its_leftovers_and_starts(folder: Path) -> None:
    with Launched(folder) as killed:
        old = {worker_pid(killed.until("worker   | up as"))}
        killed.until("ready on")
        old |= {process.pid for process in servers_of(folder)}
        killed.process.kill()
        killed.process.wait()
        with Launched(folder, env=killed.settings) as run:
            run.until("that an earlier, killed run left behind")
            run.until("ready on")
            assert not any(psutil.pid_exists(pid) for pid in old)
            run.interrupt()
            assert run.end()[0] == 0


def test_data_is_kept_over_a_restart(folder: Path) -> None:
    for text in ("CREATE TABLE kept AS SELECT 42 AS answer", "SELECT answer FROM kept"):
        with Launched(folder) as run:
            run.until("ready on")
            port = listening_port(folder, "postgres")
            postgres = EmbeddedPostgres(folder / "home/data/postgres", port)
            with psycopg2.connect(postgres.url) as connection, connection.cursor() as cursor:
                cursor.execute(text)
                rows = cursor.fetchall() if text.startswith("SELECT") else None
            connection.close()
            run.interrupt()
            assert run.end()[0] == 0
    assert rows == [(42,)]


def test_servers_of_ones_own_are_used_instead(folder: Path, own_servers: dict[str, str]) -> None:
    with Launched(folder, env=own_servers) as run:
        run.until("ready on")
        environments = [process.environ() for process in run.home.leftovers()]
        assert {(env["DATABASE_URL"], env["REDIS_URL"]) for env in environments} == {tuple(own_servers.values())}
        assert {path.name for path in run.home.data.iterdir()} <= {"secret-key"}, "no server of ours"


def test_a_database_url_that_leads_nowhere_is_one_clear_message(folder: Path) -> None:
    nowhere = f"postgresql://longrun:x@127.0.0.1:{free_port()}/longrun"
    with Launched(folder, "real", env={"DATABASE_URL": nowhere}) as run:
        code, shown = run.end()
        assert code == 1
        assert "DATABASE_URL" in shown
        assert "Traceback" not in shown
        assert servers_of(folder) == []


def test_a_data_folder_that_needs_a_person_ends_the_start_with_advice(folder: Path) -> None:
    cluster = folder / "home/data/postgres/data"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("12\n")
    with Launched(folder) as run:
        code, shown = run.end()
        assert code == 1
        assert "was created by PostgreSQL 12, but this is PostgreSQL 18" in shown
        assert f"mv {cluster.parent} {cluster.parent}.old" in shown
        assert "Traceback" not in shown
