"""Counters, histograms and gauges of OpenTelemetry, each declared once: `DECLARED` lists them for docs/metrics.md.

Metrics are off unless an OTLP endpoint is set (`OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`)
and `OTEL_METRICS_EXPORTER` is not `none`; `traces.setup` starts the export.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
STALE_S: Final = 15.0
"""How long a value that a keeper read is reported, in seconds."""

_meter = metrics.get_meter("longrun")


@cache
def enabled() -> bool:
    """True if an OTLP endpoint for metrics is set, and neither metrics nor the SDK are switched off."""
    return (
        any(os.environ.get(name) for name in ENDPOINTS)
        and os.environ.get("OTEL_METRICS_EXPORTER", "").strip().lower() != "none"
        and os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"
    )


@dataclass(frozen=True, slots=True)
class Metric:
    """The declaration of a metric; `unit` is in UCUM, as OpenTelemetry asks."""

    kind: str
    name: str
    unit: str
    description: str
    attributes: tuple[str, ...]


DECLARED: Final[list[Metric]] = []


def counter(name: str, unit: str, description: str, *attributes: str) -> metrics.Counter:
    """Declare a counter; its name and attributes follow docs/metrics.md."""
    DECLARED.append(Metric("counter", name, unit, description, attributes))
    return _meter.create_counter(name, unit, description)


def histogram(name: str, buckets: Sequence[float], description: str, *attributes: str) -> metrics.Histogram:
    """Declare a histogram of seconds with these upper bounds of its buckets."""
    DECLARED.append(Metric("histogram", name, "s", description, attributes))
    return _meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=buckets)


class Gauge:
    """Values that the leading keeper read last, each by the values of the gauge's attributes."""

    def __init__(self, name: str, unit: str, description: str, *attributes: str) -> None:
        DECLARED.append(Metric("gauge", name, unit, description, attributes))
        self.name = name
        self._attributes = attributes
        self._values: Mapping[tuple[str, ...], float] = {}
        self._seen_at = 0.0
        self._reported: frozenset[tuple[str, ...]] = frozenset()
        _meter.create_observable_gauge(name, [self._observe], unit, description)

    def set(self, values: Mapping[tuple[str, ...], float]) -> None:
        """Report these values, and no others, until STALE_S seconds from now."""
        self._values, self._seen_at = values, time.monotonic()

    def _observe(self, _options: CallbackOptions) -> Iterable[Observation]:
        if time.monotonic() > self._seen_at + STALE_S:
            return []
        values = self._values
        # a collector keeps the last value of a series that ends for minutes, so the series ends with a zero
        over = dict.fromkeys(self._reported - values.keys(), 0.0)
        self._reported = frozenset(values)
        return [
            Observation(value, dict(zip(self._attributes, key, strict=True)))
            for key, value in {**over, **values}.items()
        ]
