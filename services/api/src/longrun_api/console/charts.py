"""Charts of what happened to jobs: shapes in a box of WIDTH by HEIGHT, which the template draws as SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from longrun_api.console.rendering import duration

WIDTH: Final = 600
HEIGHT: Final = 100
ENDS: Final = {"succeeded": "SUCCESS", "failed": "FAILED", "cancelled": "CANCELLED"}
"""What a bar is made of, from the bottom, and the status that gives it its colour."""
PERCENTILES: Final = {"p50": "half", "p95": "most"}
SHARES: Final = {"p50": "50 %", "p95": "95 %"}

Items = Sequence[Mapping[str, Any]]
"""The items of `GET /stats`."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a bar."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Line:
    """A line in steps, with gaps where there is no value: its `d` in SVG."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Step:
    """What one step says when it is pointed at."""

    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, and in words what it shows."""

    name: str
    title: str
    summary: str
    peak: str
    keys: Sequence[tuple[str, str]]
    """For each colour, its class and what it means."""
    bars: Sequence[Bar]
    lines: Sequence[Line]
    steps: Sequence[Step]


def of_stats(stats: Mapping[str, Any]) -> list[Chart]:
    """The charts of an answer of `GET /stats`."""
    return [
        _throughput(stats),
        _durations(stats, "wait_s", "waits", "How long jobs waited", "started"),
        _durations(stats, "run_s", "runs", "How long jobs ran", "ended"),
    ]


def _throughput(stats: Mapping[str, Any]) -> Chart:
    items: Items = stats["items"]
    submitted = [each["submitted"] for each in items]
    top = max(*submitted, *(sum(each[end] for end in ENDS) for each in items), 1)
    total = stats["total"]
    keys = [(status, f"{total[end]:,} {end}") for end, status in ENDS.items()]
    keys.append(("line", f"{total['submitted']:,} submitted"))
    said = ", ".join(text for _, text in keys)
    bars = [bar for number, each in enumerate(items) for bar in _stack(number, len(items), each, top)]
    return Chart(
        "throughput",
        "Jobs that ended",
        f"{said}, {total['retried']:,} retried",
        f"up to {top:,} a {_unit(stats)}",
        keys,
        bars,
        [Line("line", _path(submitted, top))],
        _steps(items, lambda each: ", ".join(f"{each[name]:,} {name}" for name in (*ENDS, "submitted"))),
    )


def _stack(number: int, count: int, item: Mapping[str, Any], top: float) -> Iterable[Bar]:
    width, below = WIDTH / count, 0.0
    for end, status in ENDS.items():
        height = HEIGHT * item[end] / top
        if height:
            below += height
            yield Bar(
                status, round(number * width, 2), round(HEIGHT - below, 2), round(0.8 * width, 2), round(height, 2)
            )


def _durations(stats: Mapping[str, Any], field: str, name: str, title: str, those: str) -> Chart:
    items: Items = stats["items"]
    found = {each: [(item[field] or {}).get(each) for item in items] for each in PERCENTILES}
    top = max((value for values in found.values() for value in values if value is not None), default=0.0)
    total = stats["total"][field]
    keys = [(kind, f"{SHARES[each]}: {duration(total and total[each])}") for each, kind in PERCENTILES.items()]
    said = ", ".join(f"{SHARES[each]} at most {duration(total[each])}" for each in PERCENTILES) if total else "none"
    lines = [Line(kind, _path(found[each], top)) for each, kind in PERCENTILES.items()]

    def tell(item: Mapping[str, Any]) -> str:
        seen = item[field]
        shares = (f"{SHARES[each]} at most {duration(seen[each])}" for each in PERCENTILES) if seen else ()
        return ", ".join(shares) or f"none {those}"

    return Chart(name, title, said, f"up to {duration(top)}" if top else "", keys, [], lines, _steps(items, tell))


def _path(values: Sequence[float | None], top: float) -> str:
    """The values as steps from left to right; 0 is at the bottom, `top` at the top."""
    width, parts, goes_on = WIDTH / max(len(values), 1), list[str](), False
    for number, value in enumerate(values):
        if value is not None:
            y = HEIGHT - HEIGHT * value / top if top else HEIGHT
            parts.append(f"{'L' if goes_on else 'M'}{number * width:.2f} {y:.2f}h{width:.2f}")
        goes_on = value is not None
    return "".join(parts)


def _steps(items: Items, tell: Callable[[Mapping[str, Any]], str]) -> list[Step]:
    width = WIDTH / max(len(items), 1)
    return [
        Step(round(number * width, 2), round(width, 2), f"{_at(each['at'])}: {tell(each)}")
        for number, each in enumerate(items)
    ]


def _at(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"


def _unit(stats: Mapping[str, Any]) -> str:
    return "minute" if stats["step_s"] == 60 else "hour"
