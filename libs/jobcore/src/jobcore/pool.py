"""Celery's prefork pool, which forgets after a lost connection which of its children are at work.

It would send a wake-up into the pipe of a child that runs a long job, and there the wake-up stays until that job
ends, while another child idles and the worker, which counts it as delivered, asks for no more
(`AsynPool.flush`, Celery 5.6).
"""

from __future__ import annotations

from celery.concurrency import asynpool, prefork


class _Pool(asynpool.AsynPool):  # type: ignore[misc]
    def flush(self) -> None:
        """Drop what was not handed to a child yet; children at work stay busy until they are done or dead."""
        busy = {pipe: self._fileno_to_inq.get(pipe) for pipe in self._busy_workers}
        super().flush()
        # a child that died meanwhile may have left its pipe's number to its successor, which is idle
        self._busy_workers.update(pipe for pipe, child in busy.items() if self._fileno_to_inq.get(pipe) is child)


class TaskPool(prefork.TaskPool):  # type: ignore[misc]
    """A prefork pool whose busy children get no second message."""

    Pool = _Pool
