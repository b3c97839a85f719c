"""Uses a running Longrun as clients and operators do, and reads its tables.

Tests share an API, a database and usually a fleet of workers, because processes take seconds to start. A test that
needs other workers starts them for its own queue.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg2
import psycopg2.extras

from jobcore.settings import DEFAULT_SCHEMA
from jobcore.settings.redis_server import RedisServer
from tests.processes import Process, Stack
from tests.waiting import PATIENCE_S, until

HEARTBEAT_S = 1.0
LEASE_S = 5.0
NOTICED_S = LEASE_S + PATIENCE_S
"""Within so many seconds a lost worker is noticed: a new keeper leads after 5 s, and looks at heartbeats every 3 s."""
ROOT = Path(__file__).parent.parent
ENTRY_POINTS = """[longrun.tasks]
tests = tests.fault.tasks
in_process = tests.fault.tasks_in_process
lanes = tests.fault.tasks_of_lanes
harming = tests.fault.tasks_that_harm_lanes
neighbours = tests.fault.tasks_of_neighbours
versions = tests.fault.tasks_of_versions
starting = tests.fault.tasks_that_start
forking = tests.fault.tasks_that_fork
files = tests.fault.tasks_of_files
output = tests.fault.tasks_output
"""


def environment(folder: Path, entry_points: str = ENTRY_POINTS) -> dict[str, str]:
    """The environment of every process: short leases, and the task types of `tests/fault` beside the usual ones."""
    package = folder / "longrun_fault_tests-0.dist-info"
    if not package.exists():
        package.mkdir()
        (package / "METADATA").write_text("Metadata-Version: 2.1\nName: longrun-fault-tests\nVersion: 0\n")
        (package / "entry_points.txt").write_text(entry_points)
    return {
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "LONGRUN_HEARTBEAT_S": f"{HEARTBEAT_S:g}",
        "LONGRUN_LEASE_S": f"{LEASE_S:g}",
    }


@dataclass(frozen=True)
class Harness:
    """Longrun for one test: an API, a queue and its workers, and a folder for the diaries of ticking jobs."""

    stack: Stack
    api: httpx.Client
    queue: str
    folder: Path
    workers: Sequence[Process] = ()

    @property
    def wake_ups(self) -> str:
        """The Redis list of this queue's wake-ups."""
        return RedisServer().queue(self.queue)

    def worker(self, name: str = "worker", concurrency: int = 2, **env: str) -> Process:
        """Start another worker of this queue."""
        shared = {**environment(self.stack.folder), "LONGRUN_QUEUES": self.queue}
        return self.stack.worker(name, concurrency, shared | env)

    def submit(self, task_type: str = "echo", input: Mapping[str, Any] | None = None, **options: Any) -> str:
        """Submit a task to this queue and return its id; AssertionError if it is not accepted."""
        answer = self.post(task_type, input, **options)
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return str(answer.json()["task_id"])

    def post(self, task_type: str = "echo", input: Mapping[str, Any] | None = None, **options: Any) -> httpx.Response:
        """Submit a task to this queue and return the answer."""
        body = {"task_type": task_type, "input": dict(input or {}), "queue": self.queue, **options}
        return self.api.post("/tasks", json=body)

    def tick(self, seconds: float, **options: Any) -> str:
        """Submit a task that writes ticks into its diary while it runs; see `ticks`."""
        return self.submit("test_tick", {"seconds": seconds, "folder": str(self.folder)}, **options)

    def ticks(self, job_id: str) -> list[Tick]:
        """The ticks in the diary of a ticking job."""
        diary = self.folder / job_id
        return [Tick.of(line) for line in diary.read_text().splitlines()] if diary.exists() else []

    def runs(self, job_id: str, fence: int = 1) -> Tick:
        """Wait until this run of a ticking job has begun; returns its first tick."""
        return until(
            lambda: next((tick for tick in self.ticks(job_id) if tick.fence == fence), None),
            what=lambda: f"run {fence} of {job_id} begins; its row is {self.job(job_id)}",
        )

    def job(self, job_id: str) -> dict[str, Any]:
        """The job's row."""
        return self.sql("SELECT * FROM jobs WHERE id = %s", job_id)[0]

    def events(self, job_id: str) -> list[dict[str, Any]]:
        """The stored events of the job, in order."""
        return self.sql("SELECT * FROM job_events WHERE job_id = %s ORDER BY seq", job_id)

    def reaches(self, job_id: str, status: str, within_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait until the job has this status; returns its row."""
        with self._explained(job_id):
            return until(lambda: self._job_if(job_id, status), within_s, f"{job_id} is {status}")

    def all_reach(self, job_ids: Iterable[str], status: str, within_s: float = PATIENCE_S) -> None:
        """Wait until all these jobs have this status."""
        ids = list(job_ids)

        def others() -> list[dict[str, Any]]:
            return self.sql(
                "SELECT status, ready, count(*) FROM jobs WHERE id = ANY(%s::uuid[]) AND status <> %s GROUP BY 1, 2",
                ids,
                status,
            )

        try:
            until(lambda: not others(), within_s, f"all {len(ids)} jobs are {status}")
        except AssertionError as error:
            raise AssertionError(f"{error}; others: {others()}") from None

    def stopped(self, job_id: str, within_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait until the receipt of the cancelled job is complete; returns its row."""
        return until(
            lambda: (job := self.job(job_id))["cancel_stopped_at"] and job, within_s, f"the receipt of {job_id}"
        )

    def sql(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Run a statement and commit; returns its rows."""
        return sql(self.stack.database_url, statement, *values)

    def runner(self, tick: Tick) -> tuple[Process, Process]:
        """The fleet's two workers: first the one that wrote this tick, then the other."""
        first, second = self.workers
        return (first, second) if tick.pid in first.pids else (second, first)

    def worker_id(self, process: Process) -> str | None:
        """The id under which this worker claims now; None while it is not active."""
        rows = self.sql("SELECT id FROM workers WHERE pid = %s AND state = 'active'", process.pid)
        return str(rows[0]["id"]) if rows else None

    def _job_if(self, job_id: str, status: str) -> dict[str, Any] | None:
        job = self.job(job_id)
        return job if job["status"] == status else None

    @contextmanager
    def _explained(self, job_id: str) -> Iterator[None]:
        try:
            yield
        except AssertionError as error:
            story = [(event["kind"], event["attempt"], event["data"]) for event in self.events(job_id)]
            raise AssertionError(f"{error}; its row is {self.job(job_id)}; its story is {story}") from None


@dataclass(frozen=True)
class Tick:
    """One line of a diary: the process, the fence, and the time in seconds on the monotonic clock."""

    pid: int
    fence: int
    at: float

    @classmethod
    def of(cls, line: str) -> Tick:
        """Parse a line of a diary."""
        pid, fence, at = line.split()
        return cls(int(pid), int(fence), float(at))


def connect(database_url: str) -> psycopg2.extensions.connection:
    """Connect with Longrun's schema in the search path, whatever the role's configuration is."""
    return psycopg2.connect(database_url, options=f"-c search_path={DEFAULT_SCHEMA},public")


def sql(database_url: str, statement: str, *values: Any) -> list[dict[str, Any]]:
    """Run one statement in Longrun's schema and commit; returns its rows."""
    connection = _kept.connection(database_url)
    with connection, connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute(statement, values)
        return [dict(row) for row in cursor.fetchall()] if cursor.description else []


class _Kept(threading.local):
    """The connection that each thread used last: to connect takes longer than most statements that a test waits by."""

    _url = ""
    _connection: psycopg2.extensions.connection | None = None

    def connection(self, url: str) -> psycopg2.extensions.connection:
        """An open connection to this database; a new one if the server has ended the last, as at a restart."""
        if self._connection is None or self._url != url or _has_ended(self._connection):
            self.close()
            self._connection, self._url = connect(url), url
        return self._connection

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


_kept = _Kept()


def _has_ended(connection: psycopg2.extensions.connection) -> bool:
    if connection.closed:
        return True
    # nothing was asked, so what there is to read are the server's last words and the end
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def supervisor(worker: Process) -> psutil.Process:
    """The worker's supervisor: the first process that its main process forked."""
    return _forked(worker)[0]


def children(worker: Process) -> list[psutil.Process]:
    """The worker's children."""
    return _forked(worker)[1:]


def _forked(worker: Process) -> list[psutil.Process]:
    """The processes that its main process forked and that still exist, the oldest first."""
    found = []
    for child in psutil.Process(worker.pid).children():
        with suppress(psutil.NoSuchProcess):
            found.append((child.create_time(), child.pid, child))
    return [child for _, _, child in sorted(found, key=lambda entry: entry[:2])]


def gone(pid: int) -> bool:
    """True if there is no such process, or only a zombie."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
