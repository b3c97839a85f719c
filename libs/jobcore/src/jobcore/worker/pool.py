"""Celery's prefork pool as Longrun needs it.

Its size is fixed, children leave only between two messages, and the emptiest child gets the next one. While the host
can start no process, it works with the children that it has, and tries again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Final

from billiard import popen_fork
from celery.concurrency import asynpool, prefork

from jobcore.host import process_tree
from jobcore.host.process_table import ProcessEntry
from jobcore.supervision.slots import Slots
from jobcore.telemetry import logs
from jobcore.worker import retirement

log = logs.get(__name__)
_no_process: Final = logs.Outage(
    log, "cannot start a child: the host refuses a process; trying again every 5 s", "a child could be started again"
)
_forking: Final = threading.Lock()
_pools: Final[list[_Pool]] = []
"""The pool of this process."""


class _Child(asynpool.Worker):  # type: ignore[misc]
    """The code that runs in a child."""

    wait_for_job: Callable[[], Any]

    def after_fork(self) -> None:
        """Replace the signal handlers that billiard has just set, which would raise SystemExit inside a task."""
        super().after_fork()
        retirement.THIS_PROCESS.install()

    def _make_child_methods(self, *args: Any, **options: Any) -> None:
        super()._make_child_methods(*args, **options)
        receive: Callable[[], Any] = self.wait_for_job

        def wait_for_job() -> Any:
            retirement.THIS_PROCESS.wait(lambda: self.inq._reader.poll(None))
            return receive()

        self.wait_for_job = wait_for_job


class _Fork(popen_fork.Popen):  # type: ignore[misc]
    def _launch(self, process_obj: Any) -> None:
        """As billiard does it, but a refused fork leaves no open pipe: there may be one every 5 s."""
        self.sentinel, held_by_child = os.pipe()
        try:
            self.pid = os.fork()
        except OSError:
            self.close()
            raise
        else:
            if self.pid == 0:
                _end_with(process_obj, self.sentinel)
        finally:
            os.close(held_by_child)


def _end_with(child: Any, sentinel: int) -> None:
    """In the new process: be this child, and end with its exit code."""
    code = 1
    try:
        os.close(sentinel)
        code = child._bootstrap()
    finally:
        os._exit(code)


class _Pool(asynpool.AsynPool):  # type: ignore[misc]
    Worker = _Child
    slots: Slots | None = None

    def _create_worker_process(self, index: int) -> Any:
        """Fork a child with blocked signals: before it has its own handlers, it would act as its main process."""
        with _forking, retirement.blocked_signals():
            try:
                return super()._create_worker_process(index)
            except OSError:
                self._forget_unstarted()
                raise

    def _forget_unstarted(self) -> None:
        """Forget the child that could not be forked: billiard lists it first, and later asks for its exit code."""
        for child in [child for child in self._pool if child._popen is None]:
            self._pool.remove(child)
            self._process_cleanup_queues(child)

    def _repopulate_pool(self, exitcodes: list[int]) -> None:
        """Replace the children that ended. If the host refuses a process, Celery calls this again every 5 s."""
        try:
            super()._repopulate_pool(exitcodes)
        except OSError as error:  # EAGAIN and ENOMEM of fork, EMFILE of pipes
            _no_process.begin(error)
        else:
            _no_process.end()

    def forked(self) -> set[int]:
        """The pids of the children whose exit codes the pool has not asked for."""
        with _forking:  # a child may end before the pool knows its pid
            return {child.pid for child in tuple(self._pool)}

    def WorkerProcess(self, worker: Any) -> Any:
        """A child whose `terminate` sends SIGKILL, because SIGTERM lets it finish its job."""
        process = super().WorkerProcess(worker)
        process._Popen = _Fork
        process.terminate = lambda: process_tree.kill_child(process.pid)
        return process

    def apply_async(self, *args: Any, **options: Any) -> Any:
        """Ignore the time limits of a message, because they kill a child and the job that it runs."""
        return super().apply_async(*args, **options | {"soft_timeout": None, "timeout": None})

    def _create_write_handlers(self, hub: Any, *args: Any, **options: Any) -> None:
        """Send a message to the idle child with the fewest runs, so that jobs that wait spread over the cores."""
        super()._create_write_handlers(hub, *args, **options)
        schedule = hub.consolidate_callback
        hub.consolidate_callback = lambda pipes, *rest: schedule(sorted(pipes, key=self._runs), *rest)

    def _runs(self, pipe: int) -> int:
        child = self._fileno_to_inq.get(pipe)
        return 0 if child is None or self.slots is None else len(self.slots[child.index].read().background)

    def _track_child_process(self, process: Any, hub: Any) -> None:
        """Replace a child that has ended instead of watching it: after a lost connection, Celery 5.6 would end here."""
        if getattr(process, "_sentinel_poll", process) is None:
            hub.call_soon(self.maintain_pool)
        else:
            super()._track_child_process(process, hub)

    def flush(self) -> None:
        """Drop messages that no child has received; busy children stay busy until they finish or die.

        After a lost connection Celery 5.6 forgets which children are busy. It would send a wake-up into the pipe of a
        child that runs a long job. The wake-up would wait there until that job ends, while another child is idle, and
        the worker, which counts it as delivered, would request no more.
        """
        busy = {pipe: self._fileno_to_inq.get(pipe) for pipe in self._busy_workers}
        super().flush()
        # the pipe of a child that died meanwhile may have the same number as that of its successor, which is idle
        self._busy_workers.update(pipe for pipe, child in busy.items() if self._fileno_to_inq.get(pipe) is child)


def share(slots: Slots) -> None:
    """Let the pool of this process see what its children do."""
    _Pool.slots = slots


class FixedSize(Exception):
    """The pool was asked to grow or shrink."""


class TaskPool(prefork.TaskPool):  # type: ignore[misc]
    """A prefork pool of fixed size, because each child has its slot; a busy child gets no second message."""

    Pool = _Pool

    def on_start(self) -> None:
        """Start the children."""
        super().on_start()
        self.grow = self.shrink = _refuse
        _pools[:] = [self._pool]


def reap_adopted(supervisor_pid: int) -> None:
    """In the main process: reap what it has adopted from children that died."""

    def adopted(ended: list[ProcessEntry]) -> set[int]:
        forked = {supervisor_pid}.union(*(pool.forked() for pool in _pools))
        return {entry.pid for entry in ended} - forked

    process_tree.reap(adopted)


def _refuse(count: int = 1) -> None:
    raise FixedSize("the number of a worker's children is fixed: set LONGRUN_WORKER_CONCURRENCY and restart the worker")
