"""The Celery application: broker and result backend on `REDIS_URL`."""

from __future__ import annotations

import os

from celery import Celery

celery_app = Celery(
    "literal",
    broker=os.environ["REDIS_URL"],
    backend=os.environ["REDIS_URL"],
    include=["bench.literal.tasks"],
)
celery_app.conf.task_acks_late = True
