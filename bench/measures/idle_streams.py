"""CPU of the API and of PostgreSQL for streams of jobs to which nothing happens."""

from __future__ import annotations

import resource
import socket
import time
from contextlib import ExitStack

import psutil

from bench.client import post_one
from bench.figures import Row
from bench.scale import Scale
from bench.stage import Running, Stage, pid_of, say
from bench.systems import LONGRUN

DELAY_S = 3600
TASK = {"task_type": "echo", "input": {}, "delay_s": DELAY_S}
SETTLE_S = 5.0
"""A pause until the work of opening the streams is done."""


def open_streams(running: Running, count: int, stack: ExitStack) -> None:
    """Follow this many jobs that do not start; returns when each stream has begun."""
    for _ in range(count):
        task_id = post_one(running.port, timeout_s=10, task=TASK).body["task_id"]
        client = stack.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=10))
        client.sendall(f"GET /tasks/{task_id}/stream HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while b"id: 1" not in client.recv(65536):
            pass


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process and its children have used, including children that have ended."""
    process = psutil.Process(pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True)) if each.is_running()]
    return sum(time.user + time.system + time.children_user + time.children_system for time in times)


def shares(running: Running, postgres: int, seconds: float) -> tuple[float, float]:
    """The shares of a core that the API and PostgreSQL use."""
    [api] = [process.pid for process in running.processes if process.name == "api"]
    before = cpu_s(api), cpu_s(postgres)
    time.sleep(seconds)
    return (cpu_s(api) - before[0]) / seconds, (cpu_s(postgres) - before[1]) / seconds


def measure(stage: Stage, scale: Scale) -> list[Row]:
    """Measure without streams, then with them. There is no worker, so only the API and its keeper use PostgreSQL."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, scale.idle_streams + 256)), hard))
    seconds = 6.0 * scale.idle_s
    postgres = pid_of(stage.postgres)
    say(f"idle streams: {scale.idle_streams}")
    with stage.run(LONGRUN, worker=False) as running, ExitStack() as stack:
        time.sleep(SETTLE_S)
        without = shares(running, postgres, seconds)
        open_streams(running, scale.idle_streams, stack)
        time.sleep(SETTLE_S)
        with_streams = shares(running, postgres, seconds)
    cell = f"{sum(with_streams):.1%} of a core"
    note = (
        f"API {with_streams[0]:.1%}, PostgreSQL {with_streams[1]:.1%}; "
        f"without streams {without[0]:.1%} and {without[1]:.1%}; over {seconds:.0f} s"
    )
    say(f"  {cell}: {note}")
    return [Row(what=f"CPU beside {scale.idle_streams:,} idle streams", longrun=cell, note=note)]
