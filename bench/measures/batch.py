"""Jobs accepted per second by POST /tasks:batch, and by `submit_many` of the Python client."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx

from bench.figures import Row, rate
from bench.measures.idle_readers import cpu_s
from bench.scale import Scale
from bench.stage import Running, Stage, say
from bench.systems import LONGRUN
from longrun_client import Longrun

TASK = {"task_type": "echo", "input": {"hello": "world"}}
BATCH = json.dumps({"items": [TASK] * 1000}).encode()
CLIENTS = 4
ROUNDS = 5


def measure(stage: Stage, scale: Scale) -> list[Row]:
    jobs = 1000 * max(CLIENTS, scale.longrun_jobs // 1000)
    with stage.run(LONGRUN, worker=False) as running:
        batches, batches_cpu = _rounds(running, jobs, by_batch)
        many, many_cpu = _rounds(running, jobs, by_client)
    return [
        Row(
            what="jobs accepted a second by POST /tasks:batch of 1,000",
            longrun=rate(batches),
            note=f"{CLIENTS} requests at a time, worker stopped; {batches_cpu:.0f} µs of CPU of the API a job",
        ),
        Row(
            what="  by submit_many of the Python client",
            longrun=rate(many),
            note=f"one blocking client, with its idempotency keys; {many_cpu:.0f} µs of CPU of the API a job",
        ),
    ]


def by_batch(port: int, jobs: int) -> None:
    """Submit by `CLIENTS` connections, each with one request at a time."""

    def post(count: int) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            for _ in range(count):
                response = client.post("/tasks:batch", content=BATCH, headers={"Content-Type": "application/json"})
                response.raise_for_status()

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(post, [jobs // 1000 // CLIENTS] * CLIENTS))


def by_client(port: int, jobs: int) -> None:
    """Submit by one client."""
    with Longrun(f"http://127.0.0.1:{port}") as client:
        for _ in client.submit_many(TASK for _ in range(jobs)):
            pass


def _rounds(running: Running, jobs: int, submit: Callable[[int, int], None]) -> tuple[list[float], float]:
    """Jobs a second of each round, and the median of the API's CPU for a job, in microseconds."""
    [api] = [process for process in running.processes if process.name == "api"]
    rates, cpu = [], []
    for _ in range(ROUNDS):
        before = _jobs(running), cpu_s(api.pid), time.perf_counter()
        submit(running.port, jobs)
        elapsed_s = time.perf_counter() - before[2]
        made = _jobs(running) - before[0]
        rates.append(made / elapsed_s)
        cpu.append((cpu_s(api.pid) - before[1]) / made * 1e6)
        say(f"  {rates[-1]:,.0f} jobs/s, {cpu[-1]:.0f} µs of the API's CPU a job")
        running.database.execute("CHECKPOINT")
    return rates, statistics.median(cpu)


def _jobs(running: Running) -> int:
    count: int = running.database.value("SELECT count(*) FROM jobs")
    return count
