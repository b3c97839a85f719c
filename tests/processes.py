"""Starts Longrun's processes for a test, with the command lines that operators use."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import psycopg2

from jobcore.settings import DEFAULT_SCHEMA
from longrun_local import services, sessions
from longrun_local.ports import free_port
from tests.waiting import until

READY_S = 90.0
Environment = Mapping[str, str]


class Process:
    """A running process of the stack, with the processes that it started."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log_path: Path, url: str = "") -> None:
        self.name = name
        self.popen = popen
        self.log_path = log_path
        self.url = url

    @property
    def pid(self) -> int:
        """The process itself: for a worker, Celery's main process."""
        return self.popen.pid

    @property
    def pids(self) -> list[int]:
        """The process and the processes that it started, as far as they still run."""
        return sessions.members(self.pid)

    def send(self, signum: signal.Signals) -> None:
        """Send a signal to the process itself."""
        self.popen.send_signal(signum)

    def send_group(self, signum: signal.Signals) -> None:
        """Send a signal to the process and to the processes that it started."""
        sessions.kill(self.pid, signum)

    def terminate(self) -> None:
        """Send SIGTERM to the process itself."""
        self.send(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the process itself, and to no other."""
        self.send(signal.SIGKILL)

    def kill_group(self) -> None:
        """Kill the process and all that it started, as the loss of its machine does; wait until all have ended.

        It stops them first: otherwise one that dies later could act on the death of one that died earlier.
        """
        self.send_group(signal.SIGSTOP)
        sessions.kill_all(self.pid)
        self.popen.wait()

    def wait(self, timeout: float = 60.0) -> int:
        """Wait until it ends; returns its exit code, negative for a signal."""
        return self.popen.wait(timeout)

    def log(self) -> str:
        """The output that it has written so far."""
        return self.log_path.read_text(errors="replace")

    def check(self) -> None:
        """AssertionError with its exit code and its log if it has ended."""
        code = self.popen.poll()
        assert code is None, f"{self.name} ended with code {code}:\n{self.log()}"


class Stack:
    """Starts processes against one database and one Redis, waits until each is ready, and kills all at the end."""

    def __init__(self, database_url: str, redis_url: str, folder: Path) -> None:
        self.database_url = database_url
        self.redis_url = redis_url
        self.folder = folder
        self.files = folder / "files"
        """Where its processes keep result files."""
        self.processes: list[Process] = []

    def api(self, port: int | None = None, env: Environment | None = None, host: str = "127.0.0.1") -> Process:
        """Start an API and wait until it is ready; its address is `.url`."""
        port = port or free_port()
        process = self.start("api", services.api(host, port), env, url=f"http://127.0.0.1:{port}")
        with httpx.Client(base_url=process.url, timeout=2, verify=False) as client:
            self.until(process, lambda: _is_ready(client))
        return process

    def worker(self, name: str = "worker", concurrency: int = 2, env: Environment | None = None) -> Process:
        """Start a worker and wait until it has registered."""
        return self._worker(services.WORKER_APP, name, concurrency, env)

    def scraper(self, name: str = "scraper", concurrency: int = 2, env: Environment | None = None) -> Process:
        """Start a scraper-worker and wait until it has registered."""
        return self._worker(services.SCRAPER_APP, name, concurrency, env)

    def keeper(self, env: Environment | None = None) -> Process:
        """Start a keeper, and do not wait."""
        return self.start("keeper", services.keeper(), env)

    def start(self, name: str, command: list[str], env: Environment | None = None, url: str = "") -> Process:
        """Start a command with the stack's environment, and do not wait."""
        log_path = self.folder / f"{len(self.processes)}-{name}.log"
        with log_path.open("wb") as log:
            popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=self._environment(name, env),
            )
        process = Process(name, popen, log_path, url)
        self.processes.append(process)
        return process

    def until(self, process: Process, ready: Callable[[], bool]) -> None:
        """Wait until a process is ready; AssertionError with its log if it ends or takes too long."""

        def is_ready() -> bool:
            if ready():
                return True
            process.check()
            return False

        until(is_ready, READY_S, lambda: f"{process.name} is ready:\n{process.log()}")

    def stop(self) -> None:
        """Kill every process that still runs."""
        for process in self.processes:
            process.send_group(signal.SIGKILL)
        for process in self.processes:
            process.kill_group()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _worker(self, app: str, name: str, concurrency: int, env: Environment | None) -> Process:
        env = {"LONGRUN_WORKER_CONCURRENCY": str(concurrency), **(env or {})}
        process = self.start(name, services.worker(app, name), env)
        with closing(psycopg2.connect(self.database_url, options=f"-c search_path={DEFAULT_SCHEMA},public")) as looking:
            looking.autocommit = True
            self.until(process, lambda: _has_announced(looking, process))
        return process

    def _environment(self, name: str, env: Environment | None) -> dict[str, str]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("LONGRUN_", "OTEL_"))}
        return {
            **inherited,
            "PYTHONUNBUFFERED": "1",
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "LONGRUN_FILES": str(self.files),
            "OTEL_SERVICE_NAME": f"longrun-{name}",
            **(env or {}),
        }


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _has_announced(connection: psycopg2.extensions.connection, worker: Process) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM workers WHERE state = 'active' AND pid = ANY(%s)", [worker.pids])
        return cursor.fetchone() is not None
