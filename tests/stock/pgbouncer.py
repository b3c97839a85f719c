"""PgBouncer in transaction mode, with its defaults."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import psycopg2

from longrun_local.account import account_for
from longrun_local.ports import free_port
from tests.waiting import until

PROGRAM: Final = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
POOL_SIZE: Final = 20
"""PgBouncer's default: so many connections to each database, for each role."""
CONFIGURATION: Final = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
pool_mode = transaction
default_pool_size = {size}
auth_type = scram-sha-256
auth_file = {users}
logfile = {log}
"""


class PgBouncer:
    """One pooler in front of the PostgreSQL on a port of this machine."""

    def __init__(self, folder: Path, server_port: int, pool_size: int = POOL_SIZE) -> None:
        self.port = free_port()
        self._folder = folder
        self._users = folder / "users.txt"
        self._configuration = folder / "pgbouncer.ini"
        folder.mkdir()
        folder.chmod(0o777)
        self._users.touch()
        self._configuration.write_text(
            CONFIGURATION.format(
                server=server_port, port=self.port, size=pool_size, users=self._users, log=folder / "log"
            )
        )

    def __enter__(self) -> Self:
        command = account_for(self._folder / "data").command(PROGRAM, self._configuration, reads=self._folder)
        self._process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        until(self._listens, what="PgBouncer listens")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()

    def serve(self, role: str, password: str) -> int:
        """Let this role in; the port."""
        with self._users.open("a") as users:
            users.write(f'"{role}" "{password}"\n')
        self._process.send_signal(signal.SIGHUP)
        return self.port

    def url_of(self, url: str) -> str:
        """The same database and role, through the pooler."""
        parts = urlsplit(url)
        assert parts.username
        assert parts.password
        port = self.serve(parts.username, parts.password)
        pooled = parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}").geturl()
        until(lambda: _connects(pooled), what="PgBouncer has read its users")
        return pooled

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _connects(url: str) -> bool:
    try:
        psycopg2.connect(url).close()
    except psycopg2.OperationalError:
        return False
    return True
