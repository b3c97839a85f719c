"""Queries of the benchmark. Both systems use the same names for the columns of `jobs`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import psycopg2

from longrun_local.postgres import EmbeddedPostgres

UUID7 = """CAST(lpad(to_hex(CAST(extract(epoch FROM {at}) * 1000 AS bigint)), 12, '0') || '7'
    || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15) AS uuid)"""
"""SQL for a UUIDv7 with the time `at`, for any version of PostgreSQL."""
UUID7_NOW = UUID7.format(at="clock_timestamp()")
TERMINAL = "('SUCCESS', 'FAILED', 'CANCELLED')"


class Database:
    """One connection in autocommit to one database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = psycopg2.connect(url)
        self._connection.autocommit = True

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall()

    def value(self, sql: str, *parameters: Any) -> Any:
        return self.rows(sql, *parameters)[0][0]

    def execute(self, sql: str, *parameters: Any) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)

    def unfinished(self) -> int:
        count: int = self.value(f"SELECT count(*) FROM jobs WHERE status NOT IN {TERMINAL}")
        return count

    def wait_until_finished(self, timeout_s: float, poll_s: float = 0.05) -> float:
        """Wait until every job is terminal; returns the Unix time. TimeoutError gives the number of jobs left."""
        deadline = time.monotonic() + timeout_s
        while left := self.unfinished():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{left} jobs are not finished after {timeout_s:.0f} s")
            time.sleep(poll_s)
        return time.time()

    def pickup_s(self, after: str = "-infinity") -> Sequence[float]:
        """Seconds from `created_at` to `started_at` of every job created after that time."""
        sql = (
            "SELECT extract(epoch FROM started_at - created_at)::float8 FROM jobs "
            "WHERE created_at > %s AND started_at IS NOT NULL"
        )
        return [seconds for (seconds,) in self.rows(sql, after)]

    def close(self) -> None:
        self._connection.close()


def create(postgres: EmbeddedPostgres, name: str) -> str:
    """Create an empty database, replacing an old one with this name; returns its URL."""
    server = Database(postgres.url_of("postgres"))
    server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    server.execute(f"CREATE DATABASE {name}")
    server.close()
    return postgres.url_of(name)
