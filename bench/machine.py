"""A line that describes the machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import cast

import psutil
import redis

from bench.database import Database
from bench.stage import Stage


def describe(stage: Stage) -> str:
    """Cores, memory, file system of the data, and the versions that matter."""
    database = Database(stage.postgres.url)
    postgres = database.value("SHOW server_version")
    settings = [f"{name}={database.value(f'SHOW {name}')}" for name in ("fsync", "synchronous_commit")]
    database.close()
    valkey = redis.Redis.from_url(stage.valkey.url)
    info = cast(dict[str, str], valkey.info("server"))
    aof = cast(dict[str, str], valkey.config_get("append*"))
    packages = [f"{name} {version(name)}" for name in ("celery", "SQLAlchemy", "fastapi", "uvicorn")]
    return "; ".join(
        [
            f"{os.cpu_count()} cores ({_cpu()}), {psutil.virtual_memory().total / 2**30:.0f} GiB",
            f"{platform.system()} {platform.release()}, data on {_file_system(stage.directory)}",
            f"Python {platform.python_version()}",
            f"PostgreSQL {postgres} ({', '.join(settings)})",
            f"{stage.valkey.title} {info.get('valkey_version', info['redis_version'])} "
            f"(appendonly={aof['appendonly']}, {aof['appendfsync']})",
            *packages,
        ]
    )


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _file_system(directory: Path) -> str:
    """The type of the longest mount point above the directory."""
    above = [part for part in psutil.disk_partitions(all=True) if directory.is_relative_to(part.mountpoint)]
    return max(above, key=lambda part: len(part.mountpoint)).fstype if above else "an unknown file system"
