"""Where everything runs: one PostgreSQL and one Redis-compatible server, and one stack at a time on them."""

from __future__ import annotations

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
from bench.process import Process
from bench.stacks import LITERAL, LONGRUN, Stack
from longrun_local.ports import free_port
from longrun_local.postgres import EmbeddedPostgres
from longrun_local.server import EmbeddedServer
from tests.servers import postgres_kind, redis_kind

WARM_UP_JOBS = 200

T = TypeVar("T")


def say(line: str) -> None:
    """A line on how far the benchmark is; figures go to standard output, this does not."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def pid_of(server: EmbeddedServer) -> int:
    """The process id of a running server; RuntimeError if it has ended."""
    if server.pid is None:
        raise RuntimeError(f"{server.title} has ended: see {server.log}")
    return server.pid


class Running:
    """A stack on a fresh database and an empty Redis; processes are started as a measure asks for them."""

    def __init__(self, stack: Stack, database_url: str, redis_url: str, directory: Path) -> None:
        self.stack = stack
        self.database = Database(database_url)
        self.redis_url = redis_url
        self.port = free_port()
        self.processes: list[Process] = []
        self._directory = directory
        self._env = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, **stack.env}

    def start_api(self) -> None:
        self.start("api", [*self.stack.api, "--port", str(self.port)]).wait_for_port(self.port)

    def start_worker(self, env: Mapping[str, str] | None = None) -> Process:
        return self.start("worker", self.stack.worker, env)

    @property
    def workers(self) -> list[Process]:
        """The workers that were started, in that order."""
        return [process for process in self.processes if process.role == "worker"]

    def start(self, role: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> Process:
        """Start one more process of the stack."""
        process = Process(role, command, self._env | dict(env or {}), self._directory / self.stack.name)
        self.processes.append(process)
        return process

    def post(self, count: int, clients: int = 32, rate: float | None = None) -> Answers:
        self.check()
        return post(Load(port=self.port, count=count, clients=clients, rate=rate))

    def finish(self, timeout_s: float = 180, poll_s: float = 0.05) -> float:
        """Wait until every job is terminal; returns that Unix time."""
        try:
            return self.database.wait_until_finished(timeout_s, poll_s)
        except TimeoutError as error:
            raise TimeoutError(f"{self.stack.name}: {error}") from None
        finally:
            self.check()

    def warm_up(self) -> None:
        """Run some jobs, so that every process has its connections and PostgreSQL its plans; then a checkpoint."""
        self.post(WARM_UP_JOBS)
        if self.workers:
            self.finish(60)
        self.database.execute("CHECKPOINT")

    def check(self) -> None:
        for process in self.processes:
            process.check()

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.stop()
        self.database.close()


class Stage:
    """The two servers, with their data below `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.postgres = postgres_kind()(directory / "postgres")
        self.valkey = redis_kind()(directory / "valkey")

    def start(self) -> None:
        self.postgres.start()
        self.valkey.start()

    def stop(self) -> None:
        self.valkey.stop()
        self.postgres.stop()

    @contextmanager
    def run(
        self,
        stack: Stack,
        *,
        worker: bool = True,
        api: bool = True,
        worker_env: Mapping[str, str] | None = None,
        postgres: EmbeddedPostgres | None = None,
    ) -> Iterator[Running]:
        """The stack on empty tables of the stage's PostgreSQL or of this one, warmed up if it has an API.

        All its processes end with the block.
        """
        url = database.create(postgres or self.postgres, stack.name)
        stack.create_tables(url)
        redis.Redis.from_url(self.valkey.url).flushall()
        running = Running(stack, url, self.valkey.url, self.directory)
        try:
            if worker:
                running.start_worker(worker_env)
            if api:
                running.start_api()
                running.warm_up()
            yield running
        finally:
            running.stop()

    def alternate(self, rounds: int, what: str, once: Callable[[Stack], T]) -> tuple[list[T], list[T]]:
        """Measure Longrun and literal in turn, `rounds` times: (Longrun's values, literal's values)."""
        values: dict[str, list[T]] = {LONGRUN.name: [], LITERAL.name: []}
        for number in range(1, rounds + 1):
            for stack in (LONGRUN, LITERAL):
                say(f"{what}: round {number} of {rounds}, {stack.name}")
                values[stack.name].append(once(stack))
        return values[LONGRUN.name], values[LITERAL.name]
