"""Celery as Longrun uses it: one task, `work(queue)`, which Redis delivers to a supervised pool of children.

    worker_init             main, before any fork   refuse bad options, create the shared memory, fork the supervisor
    ShutdownStep            main                    handle signals, drain
    worker_ready            main                    start the watchdog
    worker_process_init     child                   own process group, watchdog, telemetry
    worker_process_shutdown child                   let background runs end, flush telemetry

Celery logs an exception of a signal handler and continues with half a worker; our handlers end the worker.
"""

from __future__ import annotations

import gc
import multiprocessing.process
import os
import signal
import socket
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final

from billiard import current_process
from celery import Celery, signals

from jobcore.broker.connection import create
from jobcore.broker.redis_check import refuse_cluster
from jobcore.broker.waker import WORK_TASK, Waker
from jobcore.host.process_tree import adopt_orphans
from jobcore.settings import WorkerSettings
from jobcore.supervision.lease import Identity
from jobcore.supervision.slots import Slots
from jobcore.supervision.supervisor import Supervisor, ignore_signals
from jobcore.tasks import load_tasks
from jobcore.telemetry import logs, traces
from jobcore.worker import pool, retirement, watchdog
from jobcore.worker.child import Child
from jobcore.worker.heartbeat import HeartbeatFile
from jobcore.worker.shutdown import Shutdown, ShutdownStep
from jobcore.worker.worker_options import refuse_unsafe_options, turn_off_gossip

CHILD_START_S: Final = 30.0
EX_SOFTWARE: Final = 70
MAIN_PROCESS: Final = multiprocessing.process.current_process()
"""Python's main process object, before billiard replaces it by one that is a daemon."""

log = logs.get(__name__)


def create_app(name: str, settings: WorkerSettings, default_queues: tuple[str, ...]) -> Celery:
    """The Celery app of a worker service. It serves the queues of -Q, else `settings.queues`, else `default_queues`."""
    queues = settings.queues or default_queues
    app = create(name, settings)
    app.conf.update(
        task_default_queue=queues[0],
        task_queues=None,
        worker_pool="jobcore.worker.pool:TaskPool",
        worker_concurrency=settings.worker_concurrency,
        worker_prefetch_multiplier=1,
        # otherwise Celery kills a child that starts slowly on a busy machine after 4 s, and then the next one
        worker_proc_alive_timeout=CHILD_START_S,
        # otherwise a worker uses only one child for hours after a short outage of Redis during long jobs
        worker_enable_prefetch_count_reduction=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_send_task_events=False,
        worker_enable_remote_control=settings.remote_control,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
    )
    if len(queues) > 1:
        app.conf.task_queues = {queue: {} for queue in queues}
    _Worker(app, name, settings)
    return app


class _Worker:
    """Ties the parts together in the processes of a worker."""

    def __init__(self, app: Celery, name: str, settings: WorkerSettings) -> None:
        self._app = app
        self._name = name
        self._service_name = name.replace("_", "-")
        self._settings = settings
        self._slots: Slots | None = None
        self._heartbeat: HeartbeatFile | None = None
        self._supervisor_pid = 0
        self._child: Child | None = None
        app.steps["worker"].add(ShutdownStep)
        app.task(name=WORK_TASK)(self._work)
        for event, handler in (
            (signals.setup_logging, self._set_up_logging),
            (signals.worker_init, self._start_supervisor),
            (signals.worker_ready, self._start_watchdog),
            (signals.worker_process_init, self._start_child),
            (signals.worker_process_shutdown, self._end_child),
        ):
            event.connect(_end_worker_on_failure(handler), weak=False)

    def _work(self, queue: str) -> None:
        if self._child is None:
            if self._slots is None:
                raise RuntimeError("Longrun needs its own prefork pool: start the worker without -P (--pool)")
            queues = tuple(self._app.amqp.queues.consume_from)
            self._child = Child(self._slots, current_process().index, self._name, queues, self._settings)
        self._child.work(queue)

    def _set_up_logging(self, **_: Any) -> None:
        logs.setup(self._settings)

    def _start_supervisor(self, sender: Any, **_: Any) -> None:
        refuse_unsafe_options(sender)
        refuse_cluster(self._settings.redis)
        turn_off_gossip(sender, remote_control=self._settings.remote_control)
        logs.setup(self._settings)  # Celery sets up logging later, but the supervisor is forked here
        registry = load_tasks(self._settings.tasks)
        if registry.broken and not self._settings.skip_broken_tasks:
            raise SystemExit(
                "\n".join(f"longrun: cannot import {name}: {why}" for name, why in registry.broken.items())
            )
        for broken, reason in registry.broken.items():
            log.error("cannot import a module of task types; serving the others", module=broken, error=reason)
        identity = Identity(
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=tuple(sender.app.amqp.queues.consume_from),
            concurrency=sender.concurrency,
            jobs_per_child=self._settings.jobs_per_child,
            version=version("longrun-jobcore"),
            task_types=registry.names(),
            lanes=tuple(task_type.lane for task_type in registry.all()),
        )
        log.info("serving task types", types=list(identity.task_types))
        traces.preload()
        self._slots = Slots(identity.concurrency, identity.pid)
        pool.share(self._slots)
        ShutdownStep.shutdown = Shutdown(self._slots)
        adopt_orphans()  # of a child that dies, so that the supervisor finds what its runs started
        if self._settings.heartbeat_file:
            self._heartbeat = HeartbeatFile(self._settings.heartbeat_file, self._slots)
        gc.freeze()  # otherwise a collection in a child copies the memory that it shares with the main process
        self._supervisor_pid = os.fork()
        if self._supervisor_pid == 0:
            self._supervise(self._slots, identity)

    def _supervise(self, slots: Slots, identity: Identity) -> None:
        code = 1
        try:
            ignore_signals()
            traces.setup(self._service_name, "supervisor", spans=False)
            Supervisor(slots, self._settings, identity, Waker(self._settings)).run()
            traces.flush()
            code = 0
        except BaseException:
            log.exception("the supervisor failed")
        finally:
            os._exit(code)

    def _start_watchdog(self, **_: Any) -> None:
        if self._slots is not None:
            watchdog.watch_as_main(self._slots, self._supervisor_pid, self._heartbeat)

    def _start_child(self, **_: Any) -> None:
        # a signal to the worker's group reaches only the main process, and killpg reaches a job's own processes
        os.setpgid(0, 0)
        # a task may start processes; a daemon may not, and would kill them at its end
        multiprocessing.process._current_process = MAIN_PROCESS  # type: ignore[attr-defined]
        traces.setup(self._service_name, str(current_process().index))
        if self._slots is not None:
            watchdog.watch_as_child(self._slots, self._slots[current_process().index])

    def _end_child(self, exitcode: int, **_: Any) -> None:
        # whyever it ends: it may have served its last message (max_tasks_per_child), or the pool may close
        if self._child is not None:
            self._child.finish()
        traces.flush()
        retirement.leave_at_sigterm(exitcode)


def _end_worker_on_failure(handler: Callable[..., None]) -> Callable[..., None]:
    """Wrap a handler of a Celery signal so that its failure ends the worker."""

    def guarded(**given: Any) -> None:
        try:
            handler(**given)
        except Exception:
            log.exception("the worker ends: it failed to start", handler=handler.__name__)
            if current_process().name != "MainProcess":
                os.kill(os.getppid(), signal.SIGQUIT)  # the main process hands jobs back and exits with an error
            raise SystemExit(EX_SOFTWARE) from None

    return guarded
