"""Events of many tasks."""

from __future__ import annotations

from longrun_client.models import Event


class TaskEvent(Event):
    """An event of one of many tasks: `state` or `progress`.

    `cursor` is the place behind it, from which `watch` can continue. Of two events of one task, the one with the larger
    `seq` is the later one, in whatever order they came.
    """

    task_id: str
    task_type: str
    queue: str
    cursor: str
