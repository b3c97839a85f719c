"""Where everything runs: one PostgreSQL and one Redis-compatible server, and one system at a time on them."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import redis

from bench import database
from bench.database import Database
from bench.load import Answers, Load, post
from bench.systems import LITERAL, LONGRUN, System
from longrun_local.ports import free_port
from longrun_local.postgres import EmbeddedPostgres
from longrun_local.server import EmbeddedServer
from tests.processes import Process, Stack
from tests.servers import Servers

WARM_UP_JOBS = 200

T = TypeVar("T")


def say(line: str) -> None:
    """Print a line about the progress to standard error; figures go to standard output."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def pid_of(server: EmbeddedServer) -> int:
    """The process id of a running server; RuntimeError if it has ended."""
    if server.pid is None:
        raise RuntimeError(f"{server.title} has ended: see {server.log}")
    return server.pid


def listens(port: int) -> bool:
    """Whether something listens on this port of the loopback address."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Running:
    """A system on a fresh database and an empty Redis. A measure starts the processes that it needs."""

    def __init__(self, system: System, database_url: str, redis_url: str, directory: Path) -> None:
        self.system = system
        self.database = Database(database_url)
        self.redis_url = redis_url
        self.port = free_port()
        directory.mkdir(exist_ok=True)
        self._stack = Stack(database_url, redis_url, directory)

    @property
    def processes(self) -> list[Process]:
        """The processes that were started, in that order."""
        return self._stack.processes

    @property
    def workers(self) -> list[Process]:
        """The workers that were started, in that order."""
        return [process for process in self.processes if process.name == "worker"]

    def start_api(self) -> None:
        """Start the API and wait until it listens."""
        process = self.start("api", [*self.system.api, "--port", str(self.port)])
        self._stack.until(process, lambda: listens(self.port))

    def start_worker(self, env: Mapping[str, str] | None = None) -> Process:
        """Start a worker, and do not wait."""
        return self.start("worker", self.system.worker, env)

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> Process:
        """Start `python -m command` as one more process of the system, and do not wait."""
        return self._stack.start(name, [sys.executable, "-m", *command], {**self.system.env, **(env or {})})

    def post(self, count: int, clients: int = 32, rate: float | None = None, *, keys: bool = False) -> Answers:
        """Post `count` jobs; see `bench.load`."""
        self.check()
        key = self.system.api_key
        return post(Load(port=self.port, count=count, clients=clients, rate=rate, keys=keys, api_key=key))

    def finish(self, timeout_s: float = 180, poll_s: float = 0.05) -> float:
        """Wait until every job is terminal; returns that Unix time."""
        try:
            return self.database.wait_until_finished(timeout_s, poll_s)
        except TimeoutError as error:
            raise TimeoutError(f"{self.system.name}: {error}") from None
        finally:
            self.check()

    def warm_up(self) -> None:
        """Run some jobs, so that every process has its connections and PostgreSQL its plans; then a checkpoint."""
        self.post(WARM_UP_JOBS)
        if self.workers:
            self.finish(60)
        self.database.execute("CHECKPOINT")

    def check(self) -> None:
        """AssertionError if one of the processes has ended."""
        for process in self.processes:
            process.check()

    def stop(self) -> None:
        """Kill every process."""
        self._stack.stop()
        self.database.close()


class Stage:
    """The two servers, with their data in `directory`, and one system at a time on them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._servers = Servers(directory)
        self.postgres, self.valkey = self._servers.postgres, self._servers.redis

    def start(self) -> None:
        """Start both servers."""
        self._servers.start()

    def stop(self) -> None:
        """Stop both servers."""
        self._servers.stop()

    @contextmanager
    def run(
        self,
        system: System,
        *,
        worker: bool = True,
        api: bool = True,
        worker_env: Mapping[str, str] | None = None,
        postgres: EmbeddedPostgres | None = None,
    ) -> Iterator[Running]:
        """Run the system on empty tables in the stage's PostgreSQL, or in this one; warm it up if it has an API.

        Its processes end with the block.
        """
        url = database.create(postgres or self.postgres, system.name)
        system.create_tables(url)
        redis.Redis.from_url(self.valkey.url).flushall()
        running = Running(system, url, self.valkey.url, self.directory / system.name)
        try:
            if worker:
                running.start_worker(worker_env)
            if api:
                running.start_api()
                running.warm_up()
            yield running
        finally:
            running.stop()

    def alternate(self, rounds: int, what: str, once: Callable[[System], T]) -> tuple[list[T], list[T]]:
        """Measure Longrun and literal in turn, `rounds` times: (Longrun's values, literal's values)."""
        values: dict[str, list[T]] = {LONGRUN.name: [], LITERAL.name: []}
        for number in range(1, rounds + 1):
            for system in (LONGRUN, LITERAL):
                say(f"{what}: round {number} of {rounds}, {system.name}")
                values[system.name].append(once(system))
        return values[LONGRUN.name], values[LITERAL.name]
