"""Metrics as they are declared, and gauges that say nothing they do not know."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.metrics import CallbackOptions

from jobcore.keeper.queue_gauges import set_gauges
from jobcore.models import by_lane
from jobcore.store.gauges import Fleet, OpenJobs
from jobcore.store.served import Served
from jobcore.telemetry import instruments, metrics
from jobcore.telemetry.instruments import Gauge

PAGE = Path(__file__).parents[2] / "docs/metrics.md"


@pytest.fixture
def gauge(monkeypatch: pytest.MonkeyPatch) -> Gauge:
    monkeypatch.setattr(instruments, "DECLARED", [])
    return Gauge("longrun.test", "{job}", "A test.", metrics.QUEUE)


@pytest.fixture
def no_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_queues", set())


@pytest.fixture
def enabled() -> Iterator[None]:
    instruments.enabled.cache_clear()
    yield
    instruments.enabled.cache_clear()


def reported(gauge: Gauge) -> dict[str, float]:
    observations = gauge._observe(CallbackOptions())
    return {str((observed.attributes or {}).get(metrics.QUEUE)): observed.value for observed in observations}


def test_a_gauge_that_was_never_shown_anything_reports_nothing(gauge: Gauge) -> None:
    assert reported(gauge) == {}


def test_a_series_that_ends_is_reported_once_more_as_zero(gauge: Gauge) -> None:
    gauge.set({("a",): 3, ("b",): 4})
    assert [reported(gauge), reported(gauge)] == [{"a": 3, "b": 4}] * 2
    gauge.set({("b",): 5})
    assert [reported(gauge), reported(gauge)] == [{"a": 0, "b": 5}, {"b": 5}]
    gauge.set({})
    assert [reported(gauge), reported(gauge)] == [{"b": 0}, {}]


def test_what_was_seen_too_long_ago_is_not_reported_nor_called_zero(
    gauge: Gauge, monkeypatch: pytest.MonkeyPatch
) -> None:
    gauge.set({("a",): 3})
    assert reported(gauge) == {"a": 3}
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + instruments.STALE_S + 1)
    assert reported(gauge) == {}
    gauge.set({("b",): 1})
    assert reported(gauge) == {"a": 0, "b": 1}


@pytest.mark.usefixtures("no_queues")
def test_queues_beyond_the_limit_share_one_series() -> None:
    names = [f"queue-{number}" for number in range(metrics.QUEUES_MAX + 2)]
    assert [metrics.queue(name) for name in names] == [*names[: metrics.QUEUES_MAX], metrics.OTHER, metrics.OTHER]
    assert metrics.queue(names[0]) == names[0]


@pytest.mark.usefixtures("no_queues")
def test_queues_that_share_a_series_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "QUEUES_MAX", 0)
    shown: dict[str, object] = {}
    for gauge in metrics.READ_BY_KEEPER:
        monkeypatch.setattr(gauge, "set", lambda values, name=gauge.name: shown.update({name: dict(values)}))
    jobs = [OpenJobs("a", "echo", "ready", 2, 7.0), OpenJobs("b", "echo", "ready", 3, 5.0)]
    fleets = [
        Fleet("a", "active", 1, 4, 3, by_lane((1, 5, 0)), by_lane((3, 25, 25)), 2.0),
        Fleet("b", "draining", 1, 2, 0, by_lane((1, 1, 0)), by_lane((0, 0, 0)), 9.0),
    ]
    set_gauges(jobs, fleets, Served({"a": frozenset({"echo"}), "b": frozenset({"sleep"})}), {"a": 4})
    other = metrics.OTHER
    assert shown == {
        "longrun.jobs.open": {("echo", other, "ready"): 5},
        "longrun.jobs.unserved": {("echo", other): 3},
        "longrun.jobs.rate_blocked": {(other,): 4},
        "longrun.queue.oldest.age": {(other,): 7.0},
        "longrun.workers": {(other, "active"): 1, (other, "draining"): 1},
        "longrun.children": {(other, "full"): 3, (other, "free"): 3},
        "longrun.workers.running": {(other, "process"): 2, (other, "async"): 6, (other, "thread"): 0},
        "longrun.workers.room": {(other, "process"): 3, (other, "async"): 25, (other, "thread"): 25},
        "longrun.worker.heartbeat.age": {(other,): 9.0},
    }


@pytest.mark.usefixtures("enabled")
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://here:4317"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://here:4317"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://here:4317"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://here:4317", "OTEL_METRICS_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://here:4317", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_metrics_are_on_where_an_endpoint_takes_them(
    environment: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OTEL_METRICS_EXPORTER", "OTEL_SDK_DISABLED", *instruments.ENDPOINTS):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert instruments.enabled() is expected


def test_every_metric_has_a_name_of_ours_and_says_what_it_is() -> None:
    names = [metric.name for metric in instruments.DECLARED]
    assert len(set(names)) == len(names)
    for metric in instruments.DECLARED:
        assert metric.name.startswith("longrun.")
        assert metric.unit == "s" or metric.unit.startswith("{")
        assert metric.description.endswith(".")


def row(metric: instruments.Metric) -> str:
    unit = "" if metric.unit.startswith("{") else " (s)"
    attributes = ", ".join(f"`{attribute}`" for attribute in metric.attributes)
    return f"| `{metric.name}` | {metric.kind}{unit} | {attributes} | {metric.description} |"


def test_the_page_lists_every_metric_as_it_is_declared() -> None:
    listed = [line for line in PAGE.read_text().splitlines() if line.startswith("| `longrun.")]
    assert listed == [row(metric) for metric in instruments.DECLARED]
