"""Celery's prefork pool as Longrun needs it: of a fixed size, with children that leave between two messages only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.concurrency import asynpool, prefork

from jobcore.host.processes import kill_child
from jobcore.worker import retirement


class _Child(asynpool.Worker):  # type: ignore[misc]
    """What runs in a child process."""

    wait_for_job: Callable[[], Any]

    def after_fork(self) -> None:
        """Take over the signals: billiard's handlers, set just now, would raise SystemExit inside a task."""
        super().after_fork()
        retirement.HERE.take_signals()

    def _make_child_methods(self, *args: Any, **options: Any) -> None:
        super()._make_child_methods(*args, **options)
        receive: Callable[[], Any] = self.wait_for_job

        def wait_for_job() -> Any:
            retirement.HERE.wait(lambda: self.inq._reader.poll(None))
            return receive()

        self.wait_for_job = wait_for_job


class _Pool(asynpool.AsynPool):  # type: ignore[misc]
    Worker = _Child

    def _create_worker_process(self, index: int) -> Any:
        """Fork a child that hears ending signals only once it can: before, it would handle them as its main process."""
        with retirement.held_back():
            return super()._create_worker_process(index)

    def WorkerProcess(self, worker: Any) -> Any:
        """A child that is ended with SIGKILL where it has to be ended: SIGTERM lets it finish what it does."""
        process = super().WorkerProcess(worker)
        process.terminate = lambda: kill_child(process.pid)
        return process

    def apply_async(self, *args: Any, **options: Any) -> Any:
        """Without a message's own time limits: they kill a child, whatever jobs it runs."""
        return super().apply_async(*args, **options | {"soft_timeout": None, "timeout": None})

    def flush(self) -> None:
        """Drop what was not handed to a child yet; children at work stay busy until they are done or dead.

        Celery 5.6 forgets after a lost connection which of its children are at work. It would send a wake-up into the
        pipe of a child that runs a long job, and there the wake-up stays until that job ends, while another child
        idles and the worker, which counts it as delivered, asks for no more.
        """
        busy = {pipe: self._fileno_to_inq.get(pipe) for pipe in self._busy_workers}
        super().flush()
        # a child that died meanwhile may have left its pipe's number to its successor, which is idle
        self._busy_workers.update(pipe for pipe, child in busy.items() if self._fileno_to_inq.get(pipe) is child)


class FixedSize(Exception):
    """Something wanted the pool to grow or shrink."""


class TaskPool(prefork.TaskPool):  # type: ignore[misc]
    """A prefork pool whose busy children get no second message, and whose size stays: each child has its slot."""

    Pool = _Pool

    def on_start(self) -> None:
        """Start the children."""
        super().on_start()
        self.grow = self.shrink = _refuse


def _refuse(count: int = 1) -> None:
    raise FixedSize("a worker's children cannot be added or removed: set LONGRUN_WORKER_CONCURRENCY and start it anew")
