"""Tables of queues and limits for the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich.table import Table
from rich.text import Text

from longrun_client.models_queues import ConcurrencyLimit, Queue
from longrun_client.tables import new_table, room_text
from longrun_client.text import duration, printable

COUNTED_TO: Final = 1_000
"""The server counts up to this number."""


def queue_table(queues: Iterable[Queue]) -> Table:
    """One row per queue."""
    table = new_table(
        "NAME", "PAUSED", "READY", "OLDEST", "BLOCKED", "WAITING", "UNSERVED", "RUNNING", "LIMIT", "WORKERS", "ROOM"
    )
    for queue in queues:
        table.add_row(
            printable(queue.name),
            Text("yes", "yellow") if queue.paused else "no",
            _count(queue.ready),
            "-" if queue.oldest_s is None else duration(queue.oldest_s),
            _count(queue.blocked),
            _count(queue.waiting),
            Text(_count(queue.unserved), "red" if queue.unserved else ""),
            str(queue.running),
            "none" if queue.max_running is None else str(queue.max_running),
            str(queue.workers),
            room_text(queue.room),
        )
    return table


def limit_table(limits: Iterable[ConcurrencyLimit]) -> Table:
    """One row per limit of a concurrency key."""
    table = new_table("KEY", "LIMIT")
    for limit in limits:
        table.add_row(printable(limit.key), str(limit.max_running))
    return table


def _count(tasks: int) -> str:
    return f"{tasks}+" if tasks >= COUNTED_TO else str(tasks)
