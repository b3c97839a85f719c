"""All of Longrun for a storm: two APIs, three workers, a keeper, each behind links of its own to PostgreSQL and Redis.

Whatever ends is started again, as Kubernetes or `make run` would.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg2
import redis

from jobcore.migrations import upgrade
from jobcore.settings.redis_server import RedisServer
from longrun_local import services
from longrun_local.ports import free_port
from tests.fault.clock import Hooks, let_database_clock_be_stepped
from tests.fault.link import Link
from tests.fault.torn import FOLDER
from tests.harness import environment, sql
from tests.processes import Process, Stack
from tests.servers import Servers
from tests.stock.pgbouncer import PgBouncer
from tests.waiting import until

QUEUE = "chaos"
WAKE_UPS = RedisServer().queue(QUEUE)
"""The Redis list with its wake-ups."""
APIS = ("api-0", "api-1")
WORKERS = ("worker-0", "worker-1", "worker-2")
KEEPER = "keeper"
CHILDREN = 2
JOBS_PER_CHILD = 8
LOOK_S = 0.2
AGAIN_S = 1.0
UP_S = 60.0
AWAY = (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.errors.UndefinedTable)
SETTINGS = {"max_connections": "300", "track_commit_timestamp": "on"}
SHORT_STOPS = {
    "LONGRUN_CANCEL_SIGNAL_S": "0.5",
    "LONGRUN_CANCEL_KILL_S": "2",
    "LONGRUN_DRAIN_S": "2",
    "LONGRUN_RETIRE_S": "3",
    "LONGRUN_REFUSED_BACKOFF_S": "2",
}


@dataclass
class Node:
    """One process that is kept running, and the links that it depends on."""

    name: str
    folder: Path
    command: list[str]
    env: Mapping[str, str]
    postgres: Link
    redis: Link
    hooks: Hooks
    front: Link | None = None
    process: Process | None = None
    started_at: float = 0.0


class Deployment:
    """Starts everything on entering the `with` and stops it at its end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.diaries = folder / "diaries"
        self.diaries.mkdir()
        self._servers = Servers(folder, SETTINGS)
        self.postgres, self.redis = self._servers.postgres, self._servers.redis
        self._pooler = ExitStack()
        self.locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        """By target: one fault at a time strikes it."""
        self.thawed_at: dict[str, float] = {}
        """When the host that held this job thawed: only its jobs may run past their lease, and only until then."""
        self.version = 1
        """Of the task types in `tests.fault.tasks_of_versions`: the newest that is deployed."""
        self.nodes: dict[str, Node] = {}
        self._over = threading.Event()
        self._watching = threading.Thread(target=self._watch, name="deployment", daemon=True)
        self._stack = Stack("", "", folder)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def sql(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of a statement, straight from PostgreSQL; waits for one that is away."""
        give_up = time.monotonic() + UP_S
        while True:
            try:
                return sql(f"{self.postgres.url}?connect_timeout=5", statement, *values)
            except AWAY:
                if time.monotonic() > give_up:
                    raise
                time.sleep(LOOK_S)

    def broker(self) -> redis.Redis:
        """A connection straight to Redis."""
        return redis.Redis.from_url(self.redis.url, socket_timeout=5)

    def servers(self) -> str:
        """What PostgreSQL and Redis say that they are."""
        with self.broker() as client:
            info = client.info("server")
        [row] = self.sql("SHOW server_version")
        name = info.get("server_name", "redis")
        return f"PostgreSQL {row['server_version']}, {name} {info.get(f'{name}_version', info['redis_version'])}"

    def process(self, name: str) -> Process:
        """The running process of a node; waits until it has been started again."""
        node = self.nodes[name]
        until(lambda: node.process is not None and node.process.popen.poll() is None, UP_S, f"{name} runs")
        assert node.process is not None
        return node.process

    def worker(self, name: str) -> Process:
        """A worker's process, once it has registered; AssertionError if it does not."""
        until(lambda: self.worker_id(name), UP_S, f"{name} has registered")
        return self.process(name)

    def worker_id(self, name: str) -> str | None:
        """Under which id a worker claims now; None while it does not."""
        process = self.nodes[name].process
        if process is None or process.popen.poll() is not None:
            return None
        rows = self.sql("SELECT id FROM workers WHERE pid = %s AND state = 'active'", process.pid)
        return str(rows[0]["id"]) if rows else None

    def all_up(self) -> bool:
        """Whether every worker has registered and every API has been reached."""
        return all(self.worker_id(name) for name in WORKERS) and all(
            b"Uvicorn running" in self.process(name).log_path.read_bytes() for name in APIS
        )

    def running(self) -> dict[str, int]:
        """The fence of every job that runs now."""
        return {str(row["id"]): row["fence"] for row in self.sql("SELECT id, fence FROM jobs WHERE status = 'RUNNING'")}

    def note_frozen(self, name: str) -> set[str]:
        """The host of this worker was just frozen as a whole; the jobs that it holds."""
        process = self.nodes[name].process
        assert process is not None
        rows = self.sql(
            "SELECT jobs.id FROM jobs JOIN workers ON workers.id = worker_id WHERE status = 'RUNNING' AND pid = %s",
            process.pid,
        )
        held = {str(row["id"]) for row in rows}
        self.thawed_at |= dict.fromkeys(held, float("inf"))
        return held

    def note_thawed(self, jobs: Iterable[str]) -> None:
        """The host that held these jobs thaws now."""
        self.thawed_at |= dict.fromkeys(jobs, time.monotonic())

    def start(self, name: str, command: list[str], env: Mapping[str, str]) -> Process:
        """Start some process beside Longrun's."""
        return self._stack.start(name, command, env)

    def diary(self, job_id: str) -> Path:
        """Where a ticking job writes its signs of life."""
        return self.diaries / job_id

    def _start(self) -> None:
        self._servers.start()
        self._database_url = self._pooled() if os.environ.get("LONGRUN_TEST_POOLER") else self.postgres.url
        upgrade(self.postgres.url)
        let_database_clock_be_stepped(self.postgres.url)
        for name in APIS:
            port = free_port()
            self._add(name, services.api("127.0.0.1", port), front=Link(f"http://127.0.0.1:{port}"))
        for name in WORKERS:
            self._add(name, services.worker(services.WORKER_APP, name))
        self._add(KEEPER, services.keeper())
        self._watching.start()
        until(self.all_up, UP_S, "every process is up")

    def _pooled(self) -> str:
        """Longrun's way to PostgreSQL through a PgBouncer in transaction mode."""
        pooler = self._pooler.enter_context(PgBouncer(self.folder / "pgbouncer", self.postgres.port))
        return pooler.url_of(self.postgres.url)

    def _stop(self) -> None:
        self._over.set()
        if self._watching.ident:
            self._watching.join()
        self._stack.stop()
        for node in self.nodes.values():
            for link in filter(None, (node.postgres, node.redis, node.front)):
                link.close()
        self._pooler.close()
        self._servers.stop(immediate=True)

    def _add(self, name: str, command: list[str], front: Link | None = None) -> None:
        folder = self.folder / name
        folder.mkdir()
        postgres, broker, hooks = Link(self._database_url), Link(self.redis.url), Hooks(folder)
        env = {
            **hooks.within(environment(self.folder)),
            **SHORT_STOPS,
            "LONGRUN_QUEUES": QUEUE,
            "LONGRUN_WORKER_CONCURRENCY": str(CHILDREN),
            "LONGRUN_JOBS_PER_CHILD": str(JOBS_PER_CHILD),
            "DATABASE_URL": postgres.url,
            "REDIS_URL": broker.url,
            FOLDER: str(folder),
        }
        self.nodes[name] = Node(name, folder, command, env, postgres, broker, hooks, front)

    def _watch(self) -> None:
        while not self._over.wait(LOOK_S):
            for node in self.nodes.values():
                self._keep_up(node)

    def _keep_up(self, node: Node) -> None:
        runs = node.process is not None and node.process.popen.poll() is None
        if runs or time.monotonic() < node.started_at + AGAIN_S:
            return
        node.started_at = time.monotonic()
        # what a dead main process left behind goes on: its supervisor gives jobs back
        node.process = self._stack.start(node.name, node.command, node.env)
