"""The scraper's Celery app: `celery -A longrun_scraper.app worker`."""

from __future__ import annotations

from typing import Any

from celery.signals import worker_process_init
from opentelemetry.instrumentation.requests import RequestsInstrumentor

from jobcore import telemetry
from jobcore.celery_app import create_app
from jobcore.settings import read
from longrun_scraper.settings import ScraperSettings

app = create_app("longrun_scraper", read(ScraperSettings), ("scrape",))


def _trace_requests(**_: Any) -> None:
    if telemetry.enabled():
        RequestsInstrumentor().instrument(meter_provider=telemetry.NO_METRICS)


worker_process_init.connect(_trace_requests)
