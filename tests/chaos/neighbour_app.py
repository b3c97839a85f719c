"""Another Celery application, with Celery's defaults: on the same Redis, with a queue of the same name as Longrun's."""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery

app = Celery("neighbour", broker=os.environ.get("NEIGHBOUR_REDIS_URL", "redis://"))
app.conf.update(task_default_queue="chaos", task_ignore_result=True, broker_connection_retry_on_startup=True)


@app.task(name="neighbour.note")  # type: ignore[untyped-decorator]
def note(path: str) -> None:
    """Leave a mark."""
    with Path(path).open("a") as marks:
        marks.write("ran\n")
