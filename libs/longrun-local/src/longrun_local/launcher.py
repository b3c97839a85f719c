"""`longrun run-local` (also `make run`): run and supervise all of Longrun on this machine.

    PostgreSQL, Valkey ──▶ migrations ──▶ API, worker, scraper      (start: left to right)
    PostgreSQL, Valkey ◀── API ◀── worker, scraper                  (stop: right to left)

If DATABASE_URL or REDIS_URL is set, that server is used instead of an embedded one.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Final

from jobcore.settings import read
from longrun_local import services, sessions
from longrun_local.banner import banner
from longrun_local.errors import StartError
from longrun_local.home import Home
from longrun_local.output import Output
from longrun_local.ports import listen
from longrun_local.postgres import EmbeddedPostgres
from longrun_local.probe import Probe
from longrun_local.processes import Service
from longrun_local.server import STOP_S, EmbeddedServer
from longrun_local.settings import LocalSettings
from longrun_local.signals import Signals
from longrun_local.stages import Interrupted, Stages
from longrun_local.task_modules import Import, TaskModules
from longrun_local.valkey import EmbeddedValkey

DRAIN_MARGIN_S: Final = 30.0
SHUTDOWN_MARGIN_S: Final = 5.0
FAILURES_AT_START: Final = 2
ROOT_WARNING: Final = "ignore:You're running the worker with superuser privileges"


class Launcher:
    """Starts the processes in order, keeps them running until a signal arrives, and stops them in order."""

    def __init__(self, settings: LocalSettings, home: Home, output: Output, signals: Signals) -> None:
        self._settings = settings
        self._home = home
        self._output = output
        self._stages = Stages(output, signals)
        self._servers = 0
        self._environment: dict[str, str] = {}
        self._listener: socket.socket | None = None
        """What each API listens on: it stays open while one API follows another, so no client is refused."""

    def run(self, then: Callable[[TaskModules], object], note: str = "") -> None:
        """Start everything, show the banner with `note`, and call `then`; stop everything when it returns or raises.

        A signal ends it. Raises StartError.
        """
        try:
            tasks = self._start()
            self._output.say(f"ready on {self._settings.url}")
            self._output.show(banner(self._settings, self._home, tasks, note))
            then(tasks)
        except Interrupted:
            pass
        finally:
            self._stop()

    def pause(self, seconds: float) -> None:
        """Wait for a while. Raises Interrupted at a signal."""
        self._stages.pause(seconds)

    def import_tasks(self, enough: Callable[[], bool] = lambda: False) -> TaskModules | None:
        """What the modules of task types define now; None if `enough()` came first. Raises StartError."""
        with self._import() as importing:
            return importing.result(self._output.say, self._pausing(enough))

    def restart(self, tasks: TaskModules, enough: Callable[[], bool]) -> bool:
        """Start API and workers anew and wait until they are ready; False if `enough()` came first."""
        self._stages.leave(self._servers)
        self._launch_services(tasks)
        return self._stages.await_ready(enough=enough)

    def _start(self) -> TaskModules:
        if left := self._home.stop_leftovers():
            self._output.say(f"stopped {left} processes that an earlier, killed run left behind")
        self._listener = listen(self._settings.port, "LONGRUN_PORT", self._settings.host)
        self._environment = self._shared_environment()
        with self._import() as importing:
            self._start_servers()
            self._migrate()
            tasks = importing.result(self._output.say, self._pausing(lambda: False))
        assert tasks is not None
        self._launch_services(tasks)
        self._stages.await_ready()
        return tasks

    def _shared_environment(self) -> dict[str, str]:
        warnings = filter(None, [os.environ.get("PYTHONWARNINGS"), ROOT_WARNING])
        return {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "LONGRUN_FETCH_ALLOW": self._settings.fetch_allow,
            "LONGRUN_SECRET_KEYS": os.environ.get("LONGRUN_SECRET_KEYS") or self._home.secret_key,
            "PYTHONWARNINGS": ",".join(warnings),
            **self._home.mark,
        }

    def _start_servers(self) -> None:
        settings, output = self._settings, self._output
        postgres = EmbeddedPostgres(self._home.data / "postgres", log=output.path("postgres"))
        valkey = EmbeddedValkey(self._home.data / "valkey", log=output.path("valkey"))
        if not settings.database_url:
            self._stages.launch(self._server("postgres", postgres))
        if not settings.redis_url:
            self._stages.launch(self._server("valkey", valkey))
        self._stages.await_ready(failures=FAILURES_AT_START)
        self._servers = len(self._stages)
        self._environment["DATABASE_URL"] = settings.database_url or postgres.url
        self._environment["REDIS_URL"] = settings.redis_url or valkey.url
        self._environment["LONGRUN_FILES"] = settings.files or str(self._home.data / "files")

    def _pausing(self, enough: Callable[[], bool]) -> Callable[[], bool]:
        """`enough`, after a pause. Raises Interrupted at a signal."""

        def pause_and_ask() -> bool:
            self._stages.pause()
            return enough()

        return pause_and_ask

    def _import(self) -> Import:
        return Import(self._environment, self._output.path("task-modules"))

    def _migrate(self) -> None:
        """Run the migrations; raises StartError with their output."""
        path = self._output.path("migrations")
        with path.open("w") as log:
            process = subprocess.Popen(
                services.migrations(), stdout=log, stderr=log, env=self._environment, start_new_session=True
            )
        try:
            while process.poll() is None:
                self._stages.pause()
        finally:
            sessions.kill_all(process.pid)
            process.wait()
        if process.returncode != 0:
            raise StartError(f"cannot migrate the database ({path}):\n{path.read_text().strip()}")

    def _launch_services(self, tasks: TaskModules) -> None:
        worker_only = {"LONGRUN_SKIP_BROKEN_TASKS": "true"}
        queues = {} if os.environ.get("LONGRUN_QUEUES") else {"LONGRUN_QUEUES": ",".join(tasks.queues_of_worker())}
        self._stages.launch(self._api())
        self._stages.launch(
            self._worker("worker", services.WORKER_APP, {**worker_only, **queues}),
            self._worker("scraper", services.SCRAPER_APP, worker_only),
        )

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

    def _api(self) -> Service:
        settings = self._settings
        assert self._listener is not None
        listener = self._listener.fileno()
        return Service(
            "api",
            lambda: services.api(settings.host, settings.port, listener),
            {"LONGRUN_ACCESS_LOG": "true", **self._environment, "OTEL_SERVICE_NAME": "longrun-api"},
            ready=Probe(f"{settings.url}/readyz"),
            stop_s=settings.shutdown_s + SHUTDOWN_MARGIN_S,
            inherits=(listener,),
        )

    def _worker(self, name: str, app: str, own: Mapping[str, str]) -> Service:
        return Service(
            name,
            lambda: services.worker(app, name),
            {**self._environment, **own, "OTEL_SERVICE_NAME": f"longrun-{name}"},
            stop_s=self._settings.drain_s + DRAIN_MARGIN_S,
            hurry_signal=signal.SIGQUIT,
        )

    def _stop(self) -> None:
        if self._stages:
            self._output.say("stopping (press Ctrl-C again to stop at once, without waiting for running jobs)")
            self._stages.stop()
            self._home.stop_leftovers()
            self._output.say("stopped")
        if self._listener is not None:
            self._listener.close()


def main() -> int:
    """Run Longrun until Ctrl-C; returns the exit code, 1 if it cannot start."""
    signals = Signals()
    return launch(signals, lambda launcher, _: launcher.run(lambda _: signals.wait()))


def launch(signals: Signals, run: Callable[[Launcher, Output], object]) -> int:
    """Call `run` with a launcher for the settings of the environment; returns the exit code, 1 if it cannot start."""
    settings = read(LocalSettings)
    home = Home(settings.home)
    try:
        with home.locked(settings.url):
            output = Output(home.logs)
            run(Launcher(settings, home, output, signals), output)
    except StartError as error:
        print(f"longrun: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
