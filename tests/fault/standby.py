"""A real synchronous standby of an embedded PostgreSQL, which a test can take away."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from longrun_local.account import account_for
from longrun_local.ports import free_port
from longrun_local.postgres import EmbeddedPostgres
from tests.harness import sql
from tests.waiting import until

STREAMING = "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum')"


class Standby:
    """Follows `primary`, whose durable commits wait for it from `start` on."""

    def __init__(self, primary: EmbeddedPostgres, folder: Path) -> None:
        self.primary = primary
        self.folder = folder
        self._programs = primary.programs()
        self._account = account_for(primary.folder)
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Copy the primary, follow it, and have its commits wait."""
        subprocess.run(
            [
                self._programs / "pg_basebackup",
                "-d",
                self.primary.url,
                "-D",
                self.folder,
                "-R",
                "--no-sync",
                "-c",
                "fast",
            ],
            check=True,
        )
        for path in (self.folder, *self.folder.rglob("*")):
            self._account.own(path)
        self.folder.chmod(0o700)
        options = {"port": free_port(), "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command = self._account.command(
            self._programs / "postgres", "-D", self.folder, "-c", "max_connections=400", *settings, reads=self.folder
        )
        with self.folder.with_suffix(".log").open("wb") as log:
            self._server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        sql_alone(self.primary.url, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        sql(self.primary.url, "SELECT pg_reload_conf()")
        until(lambda: sql(self.primary.url, STREAMING), what="the standby follows")

    @contextmanager
    def away(self) -> Iterator[None]:
        """It stands still, connected: every durable commit waits."""
        self._send(signal.SIGSTOP)
        try:
            yield
        finally:
            self._send(signal.SIGCONT)

    def stop(self) -> None:
        """Kill it, and let commits no longer wait."""
        sql_alone(self.primary.url, "ALTER SYSTEM RESET synchronous_standby_names")
        sql(self.primary.url, "SELECT pg_reload_conf()")
        if self._server:
            self._send(signal.SIGQUIT)
            self._send(signal.SIGCONT)
            self._server.wait(30)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _send(self, number: signal.Signals) -> None:
        assert self._server is not None
        postmaster = psutil.Process(self._server.pid)
        for process in (postmaster, *postmaster.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)


def sql_alone(url: str, statement: str) -> None:
    """Run a statement that takes no transaction around it."""
    import psycopg2

    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


def waiting(url: str) -> list[int]:
    """The backends that wait for a standby in COMMIT."""
    rows = sql(url, "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
    return [int(row["pid"]) for row in rows]


def wait_for_commit(url: str) -> int:
    """Wait until a backend waits for the standby; its pid."""
    return until(lambda: next(iter(waiting(url)), 0), what="a commit waits for its standby")
