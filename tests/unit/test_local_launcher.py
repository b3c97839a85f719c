"""The parts of `longrun run-local` by themselves: ports, settings, lines, restarts, accounts."""

from __future__ import annotations

import io
import os
import re
import select
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from longrun_local import output, processes
from longrun_local.account import Account
from longrun_local.banner import banner
from longrun_local.errors import StartError
from longrun_local.home import Home
from longrun_local.output import Output
from longrun_local.ports import FREE_PORTS, free_port, is_free, listen
from longrun_local.probe import Probe
from longrun_local.processes import Service, Supervisor
from longrun_local.settings import LocalSettings
from longrun_local.task_modules import TaskModules
from tests.waiting import until

NO_TASKS = TaskModules({}, (), {})


def settings(monkeypatch: pytest.MonkeyPatch, **values: str) -> LocalSettings:
    for name in [name for name in os.environ if name.startswith("LONGRUN_") or name in {"DATABASE_URL", "REDIS_URL"}]:
        monkeypatch.delenv(name)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return LocalSettings()


class Terminal(io.StringIO):
    """A terminal that keeps what it shows, or is gone."""

    def __init__(self, tty: bool = False, gone: bool = False) -> None:
        super().__init__()
        self._tty = tty
        self._gone = gone

    def isatty(self) -> bool:
        return self._tty

    def write(self, text: str) -> int:
        if self._gone:
            raise BrokenPipeError
        return super().write(text)


def test_who_asks_whether_the_api_is_ready_does_something_else_until_it_answers() -> None:
    """Here the one who asks is the one who answers: only once it has asked."""
    with socket.create_server(("127.0.0.1", 0)) as api:
        probe = Probe(f"http://127.0.0.1:{api.getsockname()[1]}/readyz")
        for status in (b"503 Service Unavailable", b"200 OK"):
            until(lambda: probe() or select.select([api], [], [], 0)[0], what="it asks, and asks again")
            assert not probe()
            connection, _ = api.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        until(probe, what="the answer was read")


def test_a_free_port_is_one_that_no_client_gets_by_chance() -> None:
    port = free_port()
    assert port in FREE_PORTS
    assert is_free(port)


def test_a_taken_port_is_said_with_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(StartError, match=rf"port {port} on 127\.0\.0\.1 is taken.*LONGRUN_PORT=\d+"):
            listen(port, "LONGRUN_PORT")


def test_scrapes_may_reach_the_demo_beside_what_the_operator_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(monkeypatch).fetch_allow == "127.0.0.1:8001"
    own = settings(monkeypatch, LONGRUN_FETCH_ALLOW="intranet.example:443,", LONGRUN_DEMO_PORT="9001")
    assert own.fetch_allow == "intranet.example:443,127.0.0.1:9001"


def test_an_empty_url_means_the_embedded_server(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch, DATABASE_URL="", REDIS_URL="")
    assert (found.database_url, found.redis_url) == (None, None)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000"),
        ("::", "http://[::1]:8000"),
    ],
)
def test_the_url_is_one_that_this_machine_can_open(monkeypatch: pytest.MonkeyPatch, host: str, url: str) -> None:
    assert settings(monkeypatch, LONGRUN_HOST=host).url == url


def test_the_banner_gives_commands_for_this_very_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = banner(settings(monkeypatch, LONGRUN_PORT="8010", LONGRUN_DEMO_PORT="8011"), Home(tmp_path), NO_TASKS)
    assert "curl -s http://127.0.0.1:8010/tasks" in text
    assert re.search(r"LONGRUN_URL=http://127\.0\.0\.1:8010 LONGRUN_DEMO_PORT=8011 \S*longrun demo", text)
    assert "LONGRUN_URL" not in banner(settings(monkeypatch), Home(tmp_path), NO_TASKS)


def test_the_banner_names_the_task_types_and_the_modules_that_are_broken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tasks = TaskModules({"echo": "default", "greet": "default"}, ("greet",), {"b.py": "KeyError: 'x' (b.py:1)"})
    text = banner(settings(monkeypatch), Home(tmp_path), tasks, "  Note.\n\n")
    assert "Tasks      echo, greet\n" in text
    assert "    cannot import b.py: KeyError: 'x' (b.py:1)\n" in text
    assert "  Note.\n\n  Logs are in" in text
    assert "cannot import" not in banner(settings(monkeypatch), Home(tmp_path), NO_TASKS)


def test_the_worker_serves_every_queue_but_the_scrapers() -> None:
    queues = {"greet": "default", "report": "reports", "audit": "audits", "web_scrape": "scrape"}
    assert TaskModules(queues, (), {}).queues_of_worker() == ["default", "audits", "reports"]


def test_lines_are_coloured_on_a_terminal_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for tty, expected in ((False, "worker   | hello\n"), (True, "\x1b[32mworker   |\x1b[0m hello\n")):
        terminal = Terminal(tty=tty)
        Output(tmp_path, terminal).line("worker", "hello")
        assert terminal.getvalue() == expected
    assert (tmp_path / "worker.log").read_text() == "hello\nhello\n"


def test_log_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LOG_BYTES", 1000)
    log = Output(tmp_path, Terminal())
    for _ in range(1000):
        log.line("worker", "x" * 99, shown=False)
    files = list(tmp_path.glob("worker.log*"))
    assert len(files) == 2
    assert sum(file.stat().st_size for file in files) <= 2000


def test_a_closed_terminal_does_not_stop_the_log(tmp_path: Path) -> None:
    log = Output(tmp_path, Terminal(gone=True))
    log.line("worker", "one")
    log.line("worker", "two")
    assert log.path("worker").read_text() == "one\ntwo\n"


def test_what_keeps_dying_is_started_again_ever_more_rarely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(processes, "LONGEST_PAUSE_S", 0.05)
    terminal = Terminal()
    commands = iter(
        [
            *([[sys.executable, "-c", "print('oops'); raise SystemExit(3)"]] * 4),
            ["/no/such/program"],
            [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"],
        ]
    )
    supervisor: Supervisor

    def command() -> list[str]:
        try:
            return next(commands)
        except StopIteration:
            supervisor.ask_to_stop()
            return ["unused"]

    supervisor = Supervisor(Service("worker", command, dict(os.environ)), Output(tmp_path, terminal))
    supervisor.run()
    said = [line for line in terminal.getvalue().splitlines() if line.startswith("longrun")]
    assert said == [
        *(
            f"longrun  | worker exited with code 3; restarting it in {pause} s"
            for pause in ("0.01", "0.02", "0.04", "0.05")
        ),
        "longrun  | worker cannot start ([Errno 2] No such file or directory: '/no/such/program'); "
        "restarting it in 0.05 s",
        "longrun  | worker was killed by SIGKILL; restarting it in 0.05 s",
    ]
    assert terminal.getvalue().count("worker   | oops") == 4


def test_a_process_of_ones_own_account_is_started_as_it_is(tmp_path: Path) -> None:
    own = Account(os.geteuid(), os.getegid())
    assert own.command("postgres", "-D", tmp_path, reads=tmp_path) == ["postgres", "-D", str(tmp_path)]


def test_another_account_may_enter_closed_folders_only_if_it_must(tmp_path: Path) -> None:
    other = Account(os.geteuid() + 1, os.getegid() + 1)
    closed = tmp_path / "closed" / "data"
    closed.mkdir(parents=True)
    closed.parent.chmod(0o700)
    assert "--ambient-caps=+dac_override" in other.command("/bin/true", reads=closed)
    assert "--ambient-caps=+dac_override" not in other.command("/bin/true", reads=Path("/usr"))


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
def test_another_account_can_use_programs_in_a_folder_of_roots_own(tmp_path: Path) -> None:
    program = tmp_path / "closed" / "test"
    program.parent.mkdir(mode=0o700)
    shutil.copy("/usr/bin/test", program)
    nobody = Account(65534, 65534)
    # access(2), which initdb asks before it starts anything, sees less than exec(2).
    assert subprocess.run(nobody.command(program, "-x", program, reads=tmp_path), check=False).returncode == 0
    assert subprocess.run(nobody.command("/usr/bin/test", "-x", program, reads=Path("/usr")), check=False).returncode


def test_root_without_setpriv_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(StartError, match=r"refuses to run as root.*DATABASE_URL"):
        Account(os.geteuid() + 1, 0).command("/bin/true", reads=tmp_path)


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match=r"LONGRUN_HOME=.*file"), Home(tmp_path / "file").locked("http://x"):
        pass
