"""Tables of queues and limits for the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich.table import Table
from rich.text import Text

from longrun_client.models_queues import ConcurrencyLimit, Queue
from longrun_client.models_rates import QueueRate, RateLimit
from longrun_client.tables import new_table, room_text
from longrun_client.text import duration, local_time, printable

COUNTED_TO: Final = 1_000
"""The server counts the tasks of a queue up to this number in the list of queues."""
COUNTED_ALONE_TO: Final = 10_000
"""And up to this one if it is asked for one queue."""


def queue_table(queues: Iterable[Queue], counted_to: int = COUNTED_TO) -> Table:
    """One row per queue, whose tasks the server has counted up to a number."""
    table = new_table(
        *("NAME", "PAUSED", "READY", "OLDEST", "BLOCKED", "WAITING", "UNSERVED"),
        *("RUNNING", "LIMIT", "RATE", "WORKERS", "ROOM"),
    )
    for queue in queues:
        table.add_row(
            printable(queue.name),
            Text("yes", "yellow") if queue.paused else "no",
            _count(queue.ready, counted_to),
            "-" if queue.oldest_s is None else duration(queue.oldest_s),
            _count(queue.blocked, counted_to),
            _count(queue.waiting, counted_to),
            Text(_count(queue.unserved, counted_to), "red" if queue.unserved else ""),
            str(queue.running),
            "none" if queue.max_running is None else str(queue.max_running),
            "none" if queue.rate_limit is None else _rate(queue.rate_limit),
            str(queue.workers),
            room_text(queue.room),
        )
    return table


def limit_table(limits: Iterable[ConcurrencyLimit]) -> Table:
    """One row per limit of a concurrency key."""
    table = new_table("OWNER", "KEY", "LIMIT")
    for limit in limits:
        table.add_row(_owner(limit), printable(limit.key), str(limit.max_running))
    return table


def rate_limit_table(limits: Iterable[RateLimit]) -> Table:
    """One row per rate limit of a key."""
    table = new_table("OWNER", "KEY", "RATE", "TAKEN", "NEXT START")
    for limit in limits:
        next_start = "now" if limit.next_start_at is None else local_time(limit.next_start_at)
        table.add_row(_owner(limit), printable(limit.key), _rate(limit), str(limit.taken), next_start)
    return table


def _owner(limit: ConcurrencyLimit | RateLimit) -> str:
    return "-" if limit.owner is None else printable(limit.owner)


def _rate(limit: QueueRate | RateLimit) -> str:
    return f"{limit.max_starts}/{limit.window_s:g}s"


def _count(tasks: int, counted_to: int) -> str:
    return f"{tasks}+" if tasks >= counted_to else str(tasks)
