"""The Celery app of the general worker: `celery -A longrun_worker.app worker`."""

from __future__ import annotations

from jobcore.celery_app import create_app
from jobcore.settings import WorkerSettings, read

app = create_app("longrun_worker", read(WorkerSettings), ("default",))
