"""Sets up telemetry: metrics, and one trace a job, from the POST to the run with its SQL and outgoing requests.

Both are off unless an OTLP endpoint is set (`OTEL_EXPORTER_OTLP_ENDPOINT`, or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` and
`OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`). The usual OTEL_* variables configure the rest through opentelemetry-distro. A
Celery main process exports nothing: its children and its supervisor call `setup` after the fork.
"""

from __future__ import annotations

import atexit
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from importlib import import_module
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.metrics import NoOpMeterProvider, get_meter_provider
from opentelemetry.trace import Link, Span, SpanKind

from jobcore.models import Claim
from jobcore.telemetry import instruments, logs

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
FLUSH_MS: Final = 3000
EXPORT_S: Final = "3"
PRELOADED: Final = (
    "opentelemetry.distro",
    "opentelemetry.exporter.otlp.proto.grpc.metric_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
    "opentelemetry.instrumentation.celery",
    "opentelemetry.instrumentation.sqlalchemy",
    "sqlalchemy.ext.asyncio",
    "jobcore.telemetry.sampling",
)
INTERVAL: Final = "OTEL_METRIC_EXPORT_INTERVAL"
INTERVAL_MS: Final = "15000"

log = logs.get(__name__)
_tracer = trace.get_tracer("longrun")
_NO_SPAN: Final = nullcontext(trace.INVALID_SPAN)
quiet = suppress_instrumentation
"""A context in which periodic work makes no spans."""
NO_METRICS: Final = NoOpMeterProvider()
"""For instrumentations, whose metrics would have a series for each host that a job fetches from."""


@cache
def enabled() -> bool:
    """True if an OTLP endpoint for traces is set and the SDK is not disabled."""
    return any(os.environ.get(name) for name in ENDPOINTS) and (
        os.environ.get("OTEL_SDK_DISABLED", "").lower() != "true"
    )


def preload() -> None:
    """Import what `setup` needs, and configure nothing: a child that is forked later is ready a second earlier."""
    if enabled() or instruments.enabled():
        for module in PRELOADED:
            import_module(module)


def setup(service_name: str, role: str = "", *, spans: bool = True) -> None:
    """Configure the SDK of this process and instrument Celery and SQLAlchemy, as far as they are enabled.

    `role` tells this process from others of its service on the same host. Each role is a series of its own in every
    metric, so there are few, and they are the same after a restart. Without `spans` only metrics are exported.
    """
    spans = spans and enabled()
    if not spans and not instruments.enabled():
        return
    # not imported if telemetry is off, because it takes a third of a second and 20 MiB a process
    from opentelemetry.distro import OpenTelemetryConfigurator, OpenTelemetryDistro

    os.environ.setdefault("OTEL_SERVICE_NAME", service_name)
    os.environ.setdefault("OTEL_LOGS_EXPORTER", "none")
    # without a collector each process waits this long at its end, twice: for its last spans and for the exporter
    os.environ.setdefault("OTEL_EXPORTER_OTLP_TIMEOUT", EXPORT_S)
    if not spans:
        os.environ["OTEL_TRACES_EXPORTER"] = "none"
    interval_s = float(os.environ.get(INTERVAL, INTERVAL_MS)) / 1000
    # the SDK's own timer would also run in a process that a task forks, which would export these counts as its own
    os.environ[INTERVAL] = "inf"
    if not instruments.enabled():
        os.environ["OTEL_METRICS_EXPORTER"] = "none"
    OpenTelemetryDistro().configure()
    OpenTelemetryConfigurator().configure(  # type: ignore[no-untyped-call]
        resource_attributes={"service.instance.id": _instance_id(role)}
    )
    os.environ[INTERVAL] = str(interval_s * 1000)
    if spans:
        _instrument()
    if instruments.enabled():
        threading.Thread(target=_export_metrics, args=(interval_s,), name="metrics", daemon=True).start()


def _instance_id(role: str) -> str:
    from opentelemetry.sdk.resources import OTELResourceDetector

    here = OTELResourceDetector().detect().attributes.get("service.instance.id") or socket.gethostname()
    return f"{here}/{role}" if role else str(here)


def _instrument() -> None:
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
    from opentelemetry.sdk.trace import TracerProvider

    from jobcore.telemetry.sampling import RequestsAndRuns

    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.sampler = RequestsAndRuns(provider.sampler)
    CeleryInstrumentor().instrument(meter_provider=NO_METRICS)  # type: ignore[no-untyped-call]
    SQLAlchemyInstrumentor().instrument(meter_provider=NO_METRICS)


def _export_metrics(interval_s: float) -> None:
    export = get_meter_provider().force_flush  # type: ignore[attr-defined]
    while True:
        time.sleep(interval_s)
        try:
            export()
        except Exception:
            log.warning("cannot export metrics", exc_info=True)


def flush() -> None:
    """Export what waits, for at most FLUSH_MS milliseconds; the SDK's own timeouts do not bound an export."""
    providers = (trace.get_tracer_provider(), get_meter_provider())
    flushing = [
        threading.Thread(target=provider.force_flush, args=(FLUSH_MS,), daemon=True)
        for provider in providers
        if hasattr(provider, "force_flush")
    ]
    for thread in flushing:
        thread.start()
    give_up = time.monotonic() + FLUSH_MS / 1000
    for thread in flushing:
        thread.join(max(0.0, give_up - time.monotonic()))
    for provider in providers:
        # give up the rest: the SDK would wait 30 s more for a collector that does not answer
        if (at_exit := getattr(provider, "_atexit_handler", None)) is not None:
            atexit.unregister(at_exit)


def current_traceparent() -> str | None:
    """The current span as a W3C traceparent; None outside a trace."""
    if not enabled():
        return None
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def within(traceparent: str | None) -> Iterator[None]:
    """Make spans children of this traceparent; make no spans without one."""
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


def run_span(claim: Claim) -> AbstractContextManager[Span]:
    """The span of one run, in the trace of the job's submission and with a link to the wake-up."""
    return _run_span(claim) if enabled() else _NO_SPAN


@contextmanager
def _run_span(claim: Claim) -> Iterator[Span]:
    parent = propagate.extract({"traceparent": claim.traceparent or ""}, context=Context())
    wake_up = trace.get_current_span().get_span_context()
    with _tracer.start_as_current_span(
        f"run {claim.task_type}",
        context=parent,
        kind=SpanKind.CONSUMER,
        links=[Link(wake_up)] if wake_up.is_valid else [],
        attributes={
            "longrun.job.id": str(claim.id),
            "longrun.job.attempt": claim.attempt,
            "longrun.job.fence": claim.fence,
            "longrun.task_type": claim.task_type,
            "longrun.queue": claim.queue,
        },
    ) as span:
        yield span
