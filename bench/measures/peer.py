"""Drain of queued jobs that do nothing, beside PgQueuer on the same PostgreSQL.

PgQueuer runs in a virtual environment of its own, made here from a lock with hashes. Two processes, `pgq run` with its
defaults, stand against a worker with two children. Its jobs are queued by its own `enqueue`, 1,000 per call. The rate
is from the first job that was picked to the last that ended, by the times in PgQueuer's log, which are the database's.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench import database
from bench.database import Database
from bench.figures import Row, rate, ratio
from bench.measures.drain import drain
from bench.scale import Scale
from bench.stage import Stage, say
from bench.systems import CHILDREN, LONGRUN
from tests.harness import ROOT
from tests.processes import Stack

LOCK = ROOT / "bench/pgqueuer/requirements.lock"
APP = "bench.pgqueuer.app:create"
DONE = "SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'"
SPAN = """
SELECT extract(epoch FROM max(created) FILTER (WHERE status = 'successful')
                          - min(created) FILTER (WHERE status = 'picked'))::float8 FROM pgqueuer_log
"""
WITHIN_S = 300
POLL_S = 0.2
INSTALL_S = 300


class Peer:
    """PgQueuer's own virtual environment, and what runs in it."""

    def __init__(self, folder: Path) -> None:
        self._bin = folder / "bin"
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(self._bin / "pip"), "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        try:
            subprocess.run([*pip, "-r", str(LOCK)], check=True, capture_output=True, text=True, timeout=INSTALL_S)
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"PgQueuer cannot be installed: {error.stderr.strip().splitlines()[-1]}") from None
        self.version = self._output("-c", "from importlib.metadata import version; print(version('pgqueuer'))")

    def drain(self, stage: Stage, jobs: int) -> float:
        """Jobs per second."""
        url = database.create(stage.postgres, "pgqueuer")
        folder = stage.directory / "pgqueuer-logs"
        folder.mkdir(exist_ok=True)
        env = {"PYTHONPATH": str(ROOT), "PGDSN": url}
        tables = Database(url)
        with Stack(url, stage.valkey.url, folder) as stack:
            for command in (["-m", "pgqueuer", "install"], ["-m", "bench.pgqueuer.queue_jobs", str(jobs)]):
                done = stack.start(command[1], [str(self._bin / "python"), *command], env)
                if done.wait(WITHIN_S):
                    raise RuntimeError(f"PgQueuer: {done.log()}")
            tables.execute("CHECKPOINT")
            processes = [stack.start("pgq", [str(self._bin / "pgq"), "run", APP], env) for _ in range(CHILDREN)]
            deadline = time.monotonic() + WITHIN_S
            while tables.value(DONE) < jobs:
                for process in processes:
                    process.check()
                if time.monotonic() > deadline:
                    raise TimeoutError(f"PgQueuer: {tables.value(DONE)} of {jobs} jobs after {WITHIN_S} s")
                time.sleep(POLL_S)
        seconds: float = tables.value(SPAN)
        tables.close()
        return jobs / seconds

    def _output(self, *arguments: str) -> str:
        return subprocess.check_output([str(self._bin / "python"), *arguments], text=True).strip()


def measure(stage: Stage, scale: Scale) -> list[Row]:
    """Both drains in turn, as many jobs each."""
    peer = Peer(stage.directory / "pgqueuer")
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(1, scale.rounds + 1):
        say(f"peer: round {number} of {scale.rounds}, longrun, {scale.drain_jobs:,} queued jobs")
        ours.append(drain(stage, LONGRUN, scale.drain_jobs).rate)
        say(f"peer: round {number} of {scale.rounds}, PgQueuer {peer.version}, {scale.drain_jobs:,} queued jobs")
        theirs.append(peer.drain(stage, scale.drain_jobs))
        say(f"  {theirs[-1]:,.0f} jobs/s")
    return [_row(peer, ours, theirs, scale.drain_jobs)]


def _row(peer: Peer, ours: Sequence[float], theirs: Sequence[float], jobs: int) -> Row:
    return Row(
        what=f"drain of queued no-op jobs, beside PgQueuer {peer.version}",
        longrun=rate(ours),
        ratio=f"{ratio(ours, theirs)} PgQueuer",
        note=f"PgQueuer: {rate(theirs)} jobs a second, {CHILDREN} processes with its defaults; {jobs:,} jobs each; "
        "Longrun also stores results and events",
    )
