"""Tracing: one trace a job, from the POST over the wake-up to the run, its SQL and its outgoing requests.

Off unless an OTLP endpoint is set (`OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`); all else is
configured by the customary OTEL_* variables through opentelemetry-distro. A Celery main process exports nothing:
its children set themselves up after the fork.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import Link, Span, SpanKind

from jobcore.models import Claim

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
FLUSH_MS: Final = 3000
EXPORT_S: Final = "3"

_tracer = trace.get_tracer("longrun")
quiet = suppress_instrumentation
"""A context in which housekeeping makes no spans."""


@cache
def enabled() -> bool:
    """True if an OTLP endpoint is set and the SDK is not disabled."""
    return any(os.environ.get(name) for name in ENDPOINTS) and (
        os.environ.get("OTEL_SDK_DISABLED", "").lower() != "true"
    )


def setup(service_name: str) -> None:
    """Configure the SDK of this process and instrument Celery and SQLAlchemy; nothing if not enabled."""
    if not enabled():
        return
    # not imported where tracing is off: a third of a second and 20 MiB a process
    from opentelemetry.distro import OpenTelemetryConfigurator, OpenTelemetryDistro
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
    from opentelemetry.sdk.trace import TracerProvider

    from jobcore.sampling import RequestsAndRuns

    os.environ.setdefault("OTEL_SERVICE_NAME", service_name)
    os.environ.setdefault("OTEL_METRICS_EXPORTER", "none")
    os.environ.setdefault("OTEL_LOGS_EXPORTER", "none")
    # with a dead collector every process waits so long at its end, twice: for its last spans and for the exporter
    os.environ.setdefault("OTEL_EXPORTER_OTLP_TIMEOUT", EXPORT_S)
    OpenTelemetryDistro().configure()
    OpenTelemetryConfigurator().configure()  # type: ignore[no-untyped-call]
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.sampler = RequestsAndRuns(provider.sampler)
    CeleryInstrumentor().instrument()  # type: ignore[no-untyped-call]
    SQLAlchemyInstrumentor().instrument()


def flush() -> None:
    """Send the spans that wait, for at most FLUSH_MS milliseconds: the SDK's own timeout does not bound an export."""
    flush_spans = getattr(trace.get_tracer_provider(), "force_flush", None)
    if flush_spans is not None:
        flushing = threading.Thread(target=flush_spans, args=(FLUSH_MS,), daemon=True)
        flushing.start()
        flushing.join(FLUSH_MS / 1000)
        # what is not sent by now never will be: the SDK would wait 30 s more for a dead collector
        if (at_exit := getattr(trace.get_tracer_provider(), "_atexit_handler", None)) is not None:
            atexit.unregister(at_exit)


def current_traceparent() -> str | None:
    """The current span as a W3C traceparent, None outside of any trace."""
    if not enabled():
        return None
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def within(traceparent: str | None) -> Iterator[None]:
    """Make spans children of this traceparent; without one, make no spans at all."""
    if not enabled():
        yield
        return
    if traceparent is None:
        with quiet():
            yield
        return
    token = otel_context.attach(propagate.extract({"traceparent": traceparent}))
    try:
        yield
    finally:
        otel_context.detach(token)


@contextmanager
def run_span(claim: Claim) -> Iterator[Span]:
    """The span of one run: in the trace of the job's submission, linked to the wake-up that led here."""
    if not enabled():
        yield trace.INVALID_SPAN
        return
    parent = propagate.extract({"traceparent": claim.traceparent or ""}, context=Context())
    wakeup = trace.get_current_span().get_span_context()
    with _tracer.start_as_current_span(
        f"run {claim.task_type}",
        context=parent,
        kind=SpanKind.CONSUMER,
        links=[Link(wakeup)] if wakeup.is_valid else [],
        attributes={
            "longrun.job.id": str(claim.id),
            "longrun.job.attempt": claim.attempt,
            "longrun.job.fence": claim.fence,
            "longrun.task_type": claim.task_type,
            "longrun.queue": claim.queue,
        },
    ) as span:
        yield span
