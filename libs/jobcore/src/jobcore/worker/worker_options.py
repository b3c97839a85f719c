"""Options of `celery worker` that would break Longrun's promises; they are refused before anything starts."""

from __future__ import annotations

from typing import Any, Final

from celery.concurrency import get_implementation

from jobcore.worker.pool import TaskPool

MAX_CHILDREN: Final = 256


def refuse_unsafe_options(worker: Any) -> None:
    """Raise SystemExit for the first such option of this Celery worker; its message says what to do instead."""
    why = _pool(worker) or _size(worker) or _time_limits(worker)
    if why:
        raise SystemExit(f"longrun: {why}")


def turn_off_gossip(worker: Any, *, remote_control: bool) -> None:
    """Turn off what workers send each other (gossip, mingle) and the broker (heartbeats); Flower needs the latter."""
    worker.options.update(without_gossip=True, without_mingle=True)
    if not remote_control:
        worker.options.update(without_heartbeat=True)
        worker.task_events = False


def _pool(worker: Any) -> str | None:
    pool = get_implementation(worker.pool_cls)
    if isinstance(pool, type) and issubclass(pool, TaskPool):
        return None
    name = pool.__module__.rpartition(".")[2] if isinstance(pool, type) else pool
    return f"the pool {name!r} cannot stop one job without stopping others: start the worker without -P (--pool)"


def _size(worker: Any) -> str | None:
    if worker.options.get("autoscale"):
        return (
            "the number of a worker's children is fixed: set LONGRUN_WORKER_CONCURRENCY (or -c) instead of --autoscale"
        )
    if not 1 <= worker.concurrency <= MAX_CHILDREN:
        return f"-c (--concurrency) must be from 1 to {MAX_CHILDREN}, not {worker.concurrency}"
    return None


def _time_limits(worker: Any) -> str | None:
    if worker.time_limit or worker.soft_time_limit:
        return "--time-limit and --soft-time-limit kill a child whatever it runs: set timeout_s of task types or jobs"
    return None
