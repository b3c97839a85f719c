"""Enough of PromQL to see what an expression asks for, and what Prometheus calls OpenTelemetry's metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.otlp import Series

WORDS = {"and", "or", "unless", "by", "on", "without", "ignoring", "bool", "offset", "group_left", "group_right"}
UNITS = {"s": "seconds", "By": "bytes"}


@dataclass(frozen=True)
class Selector:
    """A metric in an expression, with its matchers: (label, operator, value)."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]

    def takes(self, labels: Mapping[str, str]) -> bool:
        """True if a series with these labels is selected."""
        return all(_fits(labels.get(label, ""), operator, wanted) for label, operator, wanted in self.matchers)


def _fits(value: str, operator: str, wanted: str) -> bool:
    same = bool(re.fullmatch(wanted, value)) if "~" in operator else value == wanted
    return same != operator.startswith("!")


def selectors(expression: str) -> Iterator[Selector]:
    """Every metric that the expression reads."""
    bare = re.sub(r"\b(?:by|on|without|ignoring)\s*\([^)]*\)|\[[^]]*\]|\boffset\s+\w+", "", expression)
    for name, braces in re.findall(r"([a-zA-Z_:][\w:]*)(?![\w:]*\s*\()\s*(\{[^}]*\})?(?![^{}]*\})", bare):
        if name not in WORDS:
            yield Selector(name, tuple(re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', braces)))


def grouped_by(expression: str) -> set[str]:
    """Every label that the expression groups or joins by."""
    lists = re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", expression)
    return {label.strip() for labels in lists for label in labels.split(",")}


def exported(series: Series) -> list[tuple[str, dict[str, str]]]:
    """Names and labels of a series behind the collector's prometheus exporter (resource attributes as labels)."""
    base = series.name.replace(".", "_")
    if unit := UNITS.get(series.unit):
        base = base if base.endswith(unit) else f"{base}_{unit}"
    labels = {key.replace(".", "_"): str(value) for key, value in series.attributes}
    labels |= {"service_name": series.service, "service_instance_id": series.instance}
    if series.kind == "histogram":
        return [(f"{base}_bucket", labels | {"le": "1"}), (f"{base}_sum", labels), (f"{base}_count", labels)]
    return [(f"{base}_total" if series.kind == "counter" else base, labels)]
