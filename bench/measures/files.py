"""A large file out of a job: how much memory worker and API need beyond what they have when idle."""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import httpx
import psutil

from bench.figures import Row
from bench.scale import Scale
from bench.stage import Running, Stage, listens, say
from bench.systems import LONGRUN
from tests.harness import ROOT
from tests.s3 import S3Server, program
from tests.waiting import until

MEGABYTES: Final = 200
SAMPLE_S: Final = 0.02
TASK: Final = "bench_file"


@dataclass(frozen=True)
class Peaks:
    """Bytes beyond idle, and the seconds that storing and downloading took."""

    worker: int
    api: int
    store_s: float
    download_s: float


class Sampler:
    """The largest USS of a process and all its children while a block runs, beyond that before the block."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self._idle = self._size()
        self._largest = self._idle
        self._thread = threading.Thread(target=self._sample, daemon=True)

    @property
    def beyond_idle(self) -> int:
        """In bytes."""
        return self._largest - self._idle

    def _sample(self) -> None:
        while not self._over.wait(SAMPLE_S):
            self._largest = max(self._largest, self._size())

    def _size(self) -> int:
        main = psutil.Process(self._pid)
        return sum(process.memory_full_info().uss for process in (main, *main.children(recursive=True)))

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def run_task(running: Running, task_type: str, given: Mapping[str, Any]) -> str:
    """Submit a task and wait for its success; returns its path."""
    api = f"http://127.0.0.1:{running.port}"
    here = api + httpx.post(f"{api}/tasks", json={"task_type": task_type, "input": given}).headers["location"]
    task = until(
        lambda: (task := httpx.get(here).json())["finished_at"] and task, poll_s=0.05, what=f"{task_type} ends"
    )
    if task["status"] != "SUCCESS":
        raise RuntimeError(str(task["error"]))
    return here


def download(url: str) -> str:
    """Download it, and forget the bytes; returns their SHA-256."""
    digest = hashlib.sha256()
    with httpx.stream("GET", url) as response:
        for piece in response.iter_bytes():
            digest.update(piece)
    return digest.hexdigest()


def timed(work: Callable[[], Any]) -> float:
    """The seconds that it takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def at(stage: Stage, env: Mapping[str, str]) -> Peaks:
    """Store a file and download it, with these variables."""
    env = {"LONGRUN_TASKS": str(ROOT / "bench" / "files_task.py"), "PYTHONPATH": str(ROOT), **env}
    with stage.run(LONGRUN, worker=False, api=False) as running:
        api = running.start("api", [*LONGRUN.api, "--port", str(running.port)], env)
        worker = running.start("worker", LONGRUN.worker, env)
        until(lambda: listens(running.port), what="the API listens")
        for _ in range(4):  # every child has its connections
            run_task(running, "echo", {})
        here = ""

        def store() -> None:
            nonlocal here
            here = run_task(running, TASK, {"megabytes": MEGABYTES})

        with Sampler(worker.pid) as of_worker:
            store_s = timed(store)
        with Sampler(api.pid) as of_api:
            download_s = timed(lambda: download(f"{here}/files/large.bin"))
        assert download(f"{here}/files/large.bin") == httpx.get(here).json()["result"]
        return Peaks(of_worker.beyond_idle, of_api.beyond_idle, store_s, download_s)


def row(where: str, peaks: Peaks) -> Row:
    """For example `worker 9 MiB, API 3 MiB`."""
    return Row(
        what=f"{MEGABYTES} MB out of a job, {where}: memory beyond idle",
        longrun=f"worker {peaks.worker / 2**20:,.0f} MiB, API {peaks.api / 2**20:,.0f} MiB",
        note=f"USS of all processes; made and stored in {peaks.store_s:.1f} s, downloaded in {peaks.download_s:.1f} s",
    )


def measure(stage: Stage, _scale: Scale) -> list[Row]:
    say(f"files: {MEGABYTES} MB to a folder")
    rows = [row("to a folder", at(stage, {}))]
    if program() is None:
        print("files: versitygw is not installed, so S3 is not measured (.ci/s3 installs it)", file=sys.stderr)
        return rows
    with ExitStack() as servers:
        server = servers.enter_context(S3Server(stage.directory / "s3"))
        say(f"files: {MEGABYTES} MB to S3")
        rows.append(row("to S3", at(stage, {**server.environment, "LONGRUN_FILES": server.new_place()})))
    return rows
