"""An OTLP receiver (gRPC, on a loopback port of its own) that keeps the spans and the metrics it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


@dataclass(frozen=True)
class Span:
    """A received span, its ids in hex as in a traceparent."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Series:
    """One series of a metric: who sent it and its attributes. `kind` is `gauge`, `counter` or `histogram`."""

    service: str
    instance: str
    name: str
    unit: str
    kind: str
    attributes: frozenset[tuple[str, Any]]

    def __getitem__(self, attribute: str) -> Any:
        return dict(self.attributes).get(attribute)


class Receiver:
    """Listens while the `with` block lasts; `environment` makes a process send here, several times a second."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.raw: list[bytes] = []
        """All that was sent about spans, with their events."""
        self.values: dict[Series, float] = {}
        """The last value of each series; of a histogram how many values it has counted. A restart loses no count."""
        self._starts: dict[Series, tuple[int, float]] = {}
        self.resources: dict[str, dict[str, Any]] = {}
        """Resource attributes by service.instance.id."""
        self._server = grpc.server(ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Traces(self), self._server)  # type: ignore[no-untyped-call]
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(_Metrics(self), self._server)  # type: ignore[no-untyped-call]
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_METRIC_EXPORT_INTERVAL": "250",
        }

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of one trace that came so far."""
        return [span for span in list(self.spans) if span.trace_id == trace_id]

    def total(self, name: str, **attributes: str | int) -> float:
        """The sum over all series of a metric that have these attributes, their dots written as two underscores."""
        wanted = {(key.replace("__", "."), value) for key, value in attributes.items()}
        return sum(
            value for series, value in list(self.values.items()) if series.name == name and series.attributes >= wanted
        )

    def take(self, series: Series, started: int, value: float) -> None:
        """Keep a value of a series that counts since `started`."""
        since, before = self._starts.get(series, (started, 0.0))
        if since != started and series.kind != "gauge":
            before = self.values[series]
        self._starts[series] = (started, before)
        self.values[series] = before + value

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop(grace=0).wait()


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def Export(self, request: Any, _context: Any) -> Any:
        self._receiver.raw.append(request.SerializeToString())
        for resource in request.resource_spans:
            service = _attributes(resource.resource.attributes)["service.name"]
            self._receiver.spans += [_span(service, span) for scope in resource.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def Export(self, request: Any, _context: Any) -> Any:
        for resource in request.resource_metrics:
            sender = _attributes(resource.resource.attributes)
            self._receiver.resources[sender["service.instance.id"]] = sender
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for series, started, value in _points(sender, metric):
                        self._receiver.take(series, started, value)
        return metrics_service_pb2.ExportMetricsServiceResponse()


def _points(sender: dict[str, Any], metric: Any) -> Iterator[tuple[Series, int, float]]:
    shape = metric.WhichOneof("data")
    data = getattr(metric, shape)
    kind = shape if shape != "sum" else "counter" if data.is_monotonic else "gauge"
    for point in data.data_points:
        series = Series(
            sender["service.name"],
            sender["service.instance.id"],
            metric.name,
            metric.unit,
            kind,
            frozenset(_attributes(point.attributes).items()),
        )
        value = point.count if kind == "histogram" else getattr(point, point.WhichOneof("value"))
        yield series, point.start_time_unix_nano, value


def _span(service: str, span: Any) -> Span:
    return Span(
        service=service,
        name=span.name,
        kind=span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        links=tuple(link.span_id.hex() for link in span.links),
        attributes=_attributes(span.attributes),
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
