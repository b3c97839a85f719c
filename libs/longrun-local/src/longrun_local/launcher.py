"""`longrun run-local` (also `make run`): run and supervise all of Longrun on this machine.

    PostgreSQL, Valkey ──▶ migrations ──▶ API, worker, scraper      (start: left to right)
    PostgreSQL, Valkey ◀── API ◀── worker, scraper                  (stop: right to left)

If DATABASE_URL or REDIS_URL is set, that server is used instead of an embedded one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from itertools import chain
from typing import Final

from jobcore.settings import read
from longrun_local import services, sessions
from longrun_local.banner import banner
from longrun_local.errors import StartError
from longrun_local.home import Home
from longrun_local.output import Output
from longrun_local.ports import require_free
from longrun_local.postgres import EmbeddedPostgres
from longrun_local.processes import Service, Supervisor
from longrun_local.server import STOP_S, EmbeddedServer
from longrun_local.settings import LocalSettings
from longrun_local.signals import Signals
from longrun_local.valkey import EmbeddedValkey

POLL_S: Final = 0.05
DRAIN_MARGIN_S: Final = 30.0
SHUTDOWN_MARGIN_S: Final = 5.0
FAILURES_AT_START: Final = 2
ROOT_WARNING: Final = "ignore:You're running the worker with superuser privileges"


class Interrupted(Exception):
    """A signal asked Longrun to stop."""


class Launcher:
    """Starts the processes in order, keeps them running until a signal arrives, and stops them in order."""

    def __init__(self, settings: LocalSettings, home: Home, output: Output, signals: Signals) -> None:
        self._settings = settings
        self._home = home
        self._output = output
        self._signals = signals
        self._stages: list[list[Supervisor]] = []

    def run(self) -> None:
        """Run until a signal arrives; raises StartError."""
        try:
            self._start()
            self._output.say(f"ready on {self._settings.url}")
            self._output.show(banner(self._settings, self._home))
            self._signals.wait()
        except Interrupted:
            pass
        finally:
            self._stop()

    def _start(self) -> None:
        settings, output = self._settings, self._output
        if left := self._home.stop_leftovers():
            output.say(f"stopped {left} processes that an earlier, killed run left behind")
        require_free(settings.port, "LONGRUN_PORT", settings.host)
        postgres = EmbeddedPostgres(self._home.data / "postgres", log=output.path("postgres"))
        valkey = EmbeddedValkey(self._home.data / "valkey", log=output.path("valkey"))
        if not settings.database_url:
            self._launch(self._server("postgres", postgres))
        if not settings.redis_url:
            self._launch(self._server("valkey", valkey))
        self._await_ready(failures=FAILURES_AT_START)
        environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "DATABASE_URL": settings.database_url or postgres.url,
            "REDIS_URL": settings.redis_url or valkey.url,
            "LONGRUN_FILES": settings.files or str(self._home.data / "files"),
            "LONGRUN_FETCH_ALLOW": settings.fetch_allow,
            "PYTHONWARNINGS": ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), ROOT_WARNING])),
            **self._home.mark,
        }
        self._migrate(environment)
        self._launch(self._api(environment))
        self._launch(
            self._worker("worker", services.WORKER_APP, environment),
            self._worker("scraper", services.SCRAPER_APP, environment),
        )
        self._await_ready()

    def _launch(self, *stage: Service) -> None:
        """Start and supervise these services. They are stopped before those that were launched earlier."""
        self._stages.append([Supervisor(service, self._output) for service in stage])
        for supervisor in self._stages[-1]:
            supervisor.start()

    def _await_ready(self, failures: int | None = None) -> None:
        """Wait until all launched services are ready; raises StartError once one has failed `failures` times."""
        for supervisor in chain.from_iterable(self._stages):
            service = supervisor.service
            while service.ready is not None and not (supervisor.pid and service.ready()):
                if failures is not None and supervisor.failures >= failures:
                    lines = "\n".join(supervisor.last_lines)
                    raise StartError(
                        f"{service.name} does not start; {self._output.path(service.name)} ends with:\n{lines}"
                    )
                if self._signals.wait(POLL_S):
                    raise Interrupted

    def _server(self, name: str, server: EmbeddedServer) -> Service:
        self._output.say(f"starting {server.title} with its data in {server.data_dir}")
        server.prepare()  # raises StartError here, instead of in a loop of restarts
        return Service(
            name,
            server.prepare,
            os.environ,
            ready=server.ready,
            stop_signal=server.stop_signal,
            stop_s=STOP_S,
            killable=False,
            shown=False,
        )

    def _api(self, environment: Mapping[str, str]) -> Service:
        settings = self._settings
        return Service(
            "api",
            lambda: services.api(settings.host, settings.port),
            {**environment, "OTEL_SERVICE_NAME": "longrun-api"},
            ready=lambda: _answers(f"{settings.url}/readyz"),
            stop_s=settings.shutdown_s + SHUTDOWN_MARGIN_S,
        )

    def _worker(self, name: str, app: str, environment: Mapping[str, str]) -> Service:
        return Service(
            name,
            lambda: services.worker(app, name),
            {**environment, "OTEL_SERVICE_NAME": f"longrun-{name}"},
            stop_s=self._settings.drain_s + DRAIN_MARGIN_S,
        )

    def _migrate(self, environment: Mapping[str, str]) -> None:
        """Run the migrations; raises StartError with their output."""
        path = self._output.path("migrations")
        with path.open("w") as log:
            process = subprocess.Popen(
                services.migrations(), stdout=log, stderr=log, env=environment, start_new_session=True
            )
        while process.poll() is None:
            if self._signals.wait(POLL_S):
                sessions.kill_all(process.pid)
                process.wait()
                raise Interrupted
        if process.returncode != 0:
            raise StartError(f"cannot migrate the database ({path}):\n{path.read_text().strip()}")

    def _stop(self) -> None:
        """Stop stage after stage, each within its time limit, or at once after another signal."""
        if not self._stages:
            return
        self._output.say("stopping (press Ctrl-C again to stop at once, without waiting for running jobs)")
        at_once = False
        for stage in reversed(self._stages):
            deadline = time.monotonic() + max(supervisor.service.stop_s for supervisor in stage)
            for supervisor in stage:
                supervisor.ask_to_stop()
            while any(supervisor.is_alive() for supervisor in stage):
                at_once = self._signals.wait(POLL_S) or at_once
                if time.monotonic() > deadline or (at_once and stage[0].service.killable):
                    for supervisor in stage:
                        supervisor.kill()
        self._home.stop_leftovers()
        self._output.say("stopped")


def main() -> int:
    """Run Longrun until Ctrl-C; returns the exit code, 1 if it cannot start."""
    signals = Signals()
    settings = read(LocalSettings)
    home = Home(settings.home)
    try:
        with home.locked(settings.url):
            Launcher(settings, home, Output(home.logs), signals).run()
    except StartError as error:
        print(f"longrun: {error}", file=sys.stderr)
        return 1
    return 0


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


if __name__ == "__main__":
    sys.exit(main())
