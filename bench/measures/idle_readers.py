"""Streams and long-polls of jobs to which nothing happens: CPU of the API and of PostgreSQL, and memory of the API."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import psutil
import redis

from bench.figures import Row
from bench.scale import Scale
from bench.stage import Running, Stage, pid_of, say
from bench.systems import LONGRUN
from tests.waiting import until

SETTLE_S = 5.0
"""A pause until the work of opening the connections is done."""
WAIT_S = 55
"""The longest wait that the API allows."""
ENDS_WITHIN_S = 60.0


@dataclass(frozen=True)
class Usage:
    """Shares of a core that the API and PostgreSQL use, and the bytes of the API's memory."""

    api: float
    postgres: float
    memory: int

    @property
    def total(self) -> float:
        return self.api + self.postgres


def submit(running: Running, count: int) -> list[str]:
    """Submit jobs, which nothing runs; returns their paths."""
    running.post(count)
    rows = running.database.rows("SELECT id FROM jobs ORDER BY id DESC LIMIT %s", count)
    return [f"/tasks/{job_id}" for (job_id,) in rows]


def ask(running: Running, paths: Sequence[str], what: str, stack: ExitStack) -> list[socket.socket]:
    """Send one request for each job, each on a connection of its own, and read nothing."""
    clients = []
    for path in paths:
        client = stack.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=ENDS_WITHIN_S))
        client.sendall(f"GET {path}{what} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        clients.append(client)
    return clients


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process and its children have used, including children that have ended."""
    process = psutil.Process(pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True)) if each.is_running()]
    return sum(time.user + time.system + time.children_user + time.children_system for time in times)


def usage(running: Running, postgres: int, seconds: float) -> Usage:
    """What the API and PostgreSQL use in the next seconds."""
    [api] = [process.pid for process in running.processes if process.name == "api"]
    before = cpu_s(api), cpu_s(postgres)
    time.sleep(seconds)
    memory = psutil.Process(api).memory_full_info().uss
    return Usage((cpu_s(api) - before[0]) / seconds, (cpu_s(postgres) - before[1]) / seconds, memory)


def answered(polls: Sequence[socket.socket]) -> int:
    """How many long-polls are answered with the task when their time is over."""
    return sum(client.recv(65536).startswith(b"HTTP/1.1 200 ") for client in polls)


def measure(stage: Stage, scale: Scale) -> list[Row]:
    """Measure without readers, then with them. There is no worker, so only the API and its keeper use PostgreSQL."""
    count = scale.idle_readers
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, count + 256)), hard))
    seconds, postgres = 1.5 * scale.idle_s, pid_of(stage.postgres)
    say(f"idle readers: {count}")
    with (
        stage.run(LONGRUN, worker=False) as running,
        ExitStack() as stack,
        redis.Redis.from_url(running.redis_url) as broker,
    ):
        paths = submit(running, count)
        time.sleep(SETTLE_S)
        without = usage(running, postgres, seconds)
        ask(running, paths[::2], "/stream", stack)
        polls = ask(running, paths[1::2], f"?wait={WAIT_S}", stack)
        until(lambda: len(broker.pubsub_channels("longrun:job:*")) == count, what="each job is listened to", poll_s=0.5)
        time.sleep(SETTLE_S)
        beside = usage(running, postgres, seconds)
        ended = answered(polls)
    each = (beside.memory - without.memory) / count
    note = (
        f"half of them long-polls, {ended:,} of {len(polls):,} answered with 200 in the end; API {beside.api:.1%}, "
        f"PostgreSQL {beside.postgres:.1%}; without them {without.api:.1%} and {without.postgres:.1%}; "
        f"over {seconds:.0f} s"
    )
    what = f"{count:,} idle streams and long-polls"
    rows = [
        Row(what=f"CPU of API and PostgreSQL beside {what}", longrun=f"{beside.total:.1%} of a core", note=note),
        Row(what=f"memory of the API for each of {what}", longrun=f"{each / 1000:.1f} KB", note="USS"),
    ]
    for row in rows:
        say(f"  {row.what}: {row.longrun}; {row.note}")
    return rows
