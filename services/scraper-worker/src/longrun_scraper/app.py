"""The scraper's Celery app: `celery -A longrun_scraper.app worker`."""

from __future__ import annotations

from typing import Any

from celery.signals import worker_process_init
from opentelemetry.instrumentation.requests import RequestsInstrumentor

from jobcore.models.webhooks import DELIVERY_QUEUE
from jobcore.settings import read
from jobcore.telemetry import traces
from jobcore.worker.celery_app import create_app
from longrun_scraper import scrape as _imported_before_children_fork  # noqa: F401
from longrun_scraper.settings import ScraperSettings

app = create_app("longrun_scraper", read(ScraperSettings), ("scrape", DELIVERY_QUEUE))


def _trace_requests(**_: Any) -> None:
    if traces.enabled():
        RequestsInstrumentor().instrument(meter_provider=traces.NO_METRICS)


worker_process_init.connect(_trace_requests)
