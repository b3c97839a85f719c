"""PgBouncer of the distribution's package, in transaction mode: each transaction may reach another connection."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import psycopg2

from longrun_local.account import account_for
from longrun_local.ports import free_port

PROGRAM = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
CONFIGURATION = """
[databases]
* = host={host} port={server_port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
server_login_retry = 1
"""


class Pooler:
    """A running PgBouncer in front of the server of `url`, with `size` connections to each database."""

    def __init__(self, folder: Path, url: str, size: int) -> None:
        self.port = free_port()
        self._url = url
        self._folder = folder
        self._size = size
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The same database, through the pooler."""
        parts = urlsplit(self._url)
        return parts._replace(netloc=f"{parts.username}:unused@127.0.0.1:{self.port}").geturl()

    def __enter__(self) -> Self:
        parts = urlsplit(self._url)
        self._folder.mkdir()
        configuration = self._folder / "pgbouncer.ini"
        configuration.write_text(
            CONFIGURATION.format(
                host=parts.hostname, server_port=parts.port, user=parts.username, password=parts.password,
                port=self.port, size=self._size,
            )
        )  # fmt: skip
        account = account_for(self._folder)
        account.own(self._folder)
        account.own(configuration)
        self._process = subprocess.Popen(account.command(PROGRAM, configuration, reads=self._folder))
        deadline = time.monotonic() + 10
        while True:
            try:
                psycopg2.connect(self.url).close()
            except psycopg2.OperationalError:
                assert time.monotonic() < deadline, "PgBouncer does not answer"
                time.sleep(0.05)
            else:
                return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(10)
