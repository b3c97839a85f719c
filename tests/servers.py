"""The servers that tests, storm and benchmark run on: the embedded ones, or those of the distribution's packages.

`LONGRUN_TEST_POSTGRES=debian` and `LONGRUN_TEST_REDIS=debian` choose PostgreSQL and Redis as `apt install postgresql
redis-server` puts them on a machine, with their own defaults; without them the embedded servers of `make run` are used.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import psycopg2

from longrun_local.postgres import EmbeddedPostgres
from longrun_local.valkey import EmbeddedValkey

POSTGRES_PROGRAMS = Path("/usr/lib/postgresql")
REDIS_DEFAULTS = Path("/etc/redis/redis.conf")
T = TypeVar("T")


class DebianPostgres(EmbeddedPostgres):
    """PostgreSQL of the distribution's package with the defaults of its `initdb` (JIT on, 100 connections)."""

    locale: ClassVar[Sequence[str]] = ("--locale=C.UTF-8",)

    def programs(self) -> Path:
        """The folder of the newest version; FileNotFoundError with the package's name if there is none."""
        found = sorted(POSTGRES_PROGRAMS.glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
        on_path = shutil.which("postgres")
        if not found and not on_path:
            raise FileNotFoundError("there is no PostgreSQL on this machine: apt install postgresql")
        return found[-1].parent if found else Path(str(on_path)).resolve().parent

    def defaults(self) -> Mapping[str, str]:
        """No settings beyond the address to listen on."""
        return {}


class DebianRedis(EmbeddedValkey):
    """Redis of the distribution's package with its configuration and the append-only file of docs/operations.md.

    Without the package's configuration where only its account may read it.
    """

    title: ClassVar = "Redis"
    program: ClassVar = "redis-server"

    def configuration(self) -> str:
        """The package's configuration, then the settings of this server: Redis uses the last of two lines."""
        base = f"include {REDIS_DEFAULTS}\n" if os.access(REDIS_DEFAULTS, os.R_OK) else ""
        return f'{base}daemonize no\nsupervised no\npidfile ""\nlogfile ""\n{super().configuration()}'

    def program_path(self) -> Path:
        """`redis-server` on the PATH; FileNotFoundError with the package's name if there is none."""
        found = shutil.which(self.program)
        if found is None:
            raise FileNotFoundError("there is no Redis on this machine: apt install redis-server")
        return Path(found)


class Servers:
    """A PostgreSQL and a Redis of the chosen kinds, with their data in one folder; `settings` are PostgreSQL's."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.postgres = postgres_kind()(folder / "postgres", settings=settings)
        self.redis = redis_kind()(folder / "valkey")

    def start(self) -> None:
        """Start both."""
        self.postgres.start()
        self.redis.start()

    def stop(self, immediate: bool = False) -> None:
        """Stop both; immediately as a crash would."""
        self.redis.stop(immediate=immediate)
        self.postgres.stop(immediate=immediate)


def postgres_kind() -> type[EmbeddedPostgres]:
    """The PostgreSQL class that LONGRUN_TEST_POSTGRES chooses."""
    return _chosen("LONGRUN_TEST_POSTGRES", embedded=EmbeddedPostgres, debian=DebianPostgres)


def redis_kind() -> type[EmbeddedValkey]:
    """The Redis class that LONGRUN_TEST_REDIS chooses."""
    return _chosen("LONGRUN_TEST_REDIS", embedded=EmbeddedValkey, debian=DebianRedis)


def _chosen(variable: str, **kinds: type[T]) -> type[T]:
    value = os.environ.get(variable) or "embedded"
    if value not in kinds:
        raise SystemExit(f"{variable} must be one of {', '.join(kinds)}, not {value!r}")
    return kinds[value]


def execute(url: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run one string on a new connection in autocommit; returns the rows of its last statement."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()
