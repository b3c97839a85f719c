"""Options of `celery worker` that Longrun cannot keep its promises with: refused before anything is started."""

from __future__ import annotations

from typing import Any, Final

from celery.concurrency import get_implementation

from jobcore.worker.pool import TaskPool

MAX_CHILDREN: Final = 256


def refuse_what_breaks_promises(worker: Any) -> None:
    """SystemExit with one line that says what to do, for the first option of this Celery worker that cannot be had."""
    why = _pool(worker) or _size(worker) or _time_limits(worker)
    if why:
        raise SystemExit(f"longrun: {why}")


def close_back_doors(worker: Any, *, remote_control: bool) -> None:
    """Workers need not know each other (gossip, mingle), nor tell the broker that they live, unless Flower looks."""
    worker.options.update(without_gossip=True, without_mingle=True)
    if not remote_control:
        worker.options.update(without_heartbeat=True)
        worker.task_events = False


def _pool(worker: Any) -> str | None:
    pool = get_implementation(worker.pool_cls)
    if isinstance(pool, type) and issubclass(pool, TaskPool):
        return None
    name = pool.__module__.rpartition(".")[2] if isinstance(pool, type) else pool
    return f"the pool {name!r} cannot stop a job without its neighbours: start the worker without -P (--pool)"


def _size(worker: Any) -> str | None:
    if worker.options.get("autoscale"):
        return "a worker has a fixed number of children: set LONGRUN_WORKER_CONCURRENCY (or -c) instead of --autoscale"
    if not 1 <= worker.concurrency <= MAX_CHILDREN:
        return f"-c (--concurrency) must be from 1 to {MAX_CHILDREN}, not {worker.concurrency}"
    return None


def _time_limits(worker: Any) -> str | None:
    if worker.time_limit or worker.soft_time_limit:
        return "--time-limit and --soft-time-limit end children, whatever they run: give task types or jobs a timeout_s"
    return None
