"""The Celery app of the general worker: `celery -A longrun_worker.app worker`."""

from __future__ import annotations

from jobcore.settings import WorkerSettings, read
from jobcore.worker.celery_app import create_app

app = create_app("longrun_worker", read(WorkerSettings), ("default",))
