"""`make run` as a test sees it, with Longrun's own processes or with small ones that behave as told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from longrun_local.home import Home
from longrun_local.ports import free_port
from longrun_local.postgres import EmbeddedPostgres
from longrun_local.valkey import EmbeddedValkey

SMALL = """
import sys
from longrun_local import dev, launcher, services

API = '''
import http.server, signal, socket, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_): pass
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
server.socket = socket.socket(fileno=int(sys.argv[1]))
server.serve_forever()
'''
# As Celery: children in process groups of their own, which a signal to the worker's group does not reach.
WORKER = '''
import os, signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import os, signal; os.setpgid(0, 0); signal.pause()"])
def stop(*_):
    print("draining", flush=True)
    if not os.environ.get("STUBBORN"):
        sys.exit(child.kill())
signal.signal(signal.SIGTERM, stop)
print("up as", os.getpid(), flush=True)
while True:
    signal.pause()
'''
services.migrations = lambda: [sys.executable, "-c", "pass"]
services.api = lambda host, port, listener: [sys.executable, "-c", API, str(listener)]
services.worker = lambda app, name: [sys.executable, "-c", WORKER]
sys.exit(dev.main(sys.argv[1:]) if sys.argv[1:] else launcher.main())
"""
COMMANDS = {
    "small": [sys.executable, "-c", SMALL],
    "real": [sys.executable, "-m", "longrun_local.launcher"],
    "dev": [str(Path(sys.executable).parent / "longrun"), "dev"],
}


class Launched:
    """A running launcher, stopped at the end of the `with`. With `tasks` it is `longrun dev`."""

    def __init__(
        self, folder: Path, kind: str = "small", env: Mapping[str, str] | None = None, tasks: Sequence[Path] = ()
    ) -> None:
        self.home = Home(folder / "home")
        self.settings = {
            "LONGRUN_HOME": str(self.home.path),
            "LONGRUN_PORT": str(free_port()),
            "LONGRUN_DEMO_PORT": str(free_port()),
            **(env or {}),
        }
        self.url = f"http://127.0.0.1:{self.settings['LONGRUN_PORT']}"
        self.seen: list[str] = []
        outer = {key: value for key, value in os.environ.items() if not key.startswith("LONGRUN_")}
        self.process = subprocess.Popen(
            [*COMMANDS[kind], *map(str, tasks)],
            env={**outer, **self.settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def until(self, *texts: str) -> str:
        """Read what it shows until each text stood in a line; the last line read."""
        assert self.process.stdout is not None
        missing = set(texts)
        for line in self.process.stdout:
            self.seen.append(line)
            missing -= {text for text in missing if text in line}
            if not missing:
                return line
        raise AssertionError(f"ended without {sorted(missing)}:\n" + "".join(self.seen))

    def first(self, text: str) -> str:
        """The first of the lines read so far that has the text."""
        return next(line for line in self.seen if text in line)

    def until_all_up(self) -> None:
        """Until it says it is ready and both small workers are up."""
        self.until("ready on", "worker   | up as", "scraper  | up as")

    def interrupt(self) -> None:
        """What Ctrl-C sends."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, str]:
        """Wait for its end; its exit code and all that it showed."""
        assert self.process.stdout is not None
        self.seen += self.process.stdout.readlines()
        return self.process.wait(), "".join(self.seen)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.interrupt()
            self.interrupt()
        self.end()


def stop_leftovers(folder: Path) -> None:
    """Stop what a failed test left running of a launcher whose home is in this folder."""
    Home(folder / "home").stop_leftovers()
    EmbeddedPostgres(folder / "home/data/postgres").stop_leftover()
    EmbeddedValkey(folder / "home/data/valkey").stop_leftover()
