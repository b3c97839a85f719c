"""Percentiles, the format of figures, and the final table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of at least one value."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def rate(values: Sequence[float]) -> str:
    """The median and the range of the rounds: `2,410 (2,350–2,520)`."""
    middle = f"{statistics.median(values):,.0f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):,.0f}–{max(values):,.0f})"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """The median of the ratios of neighbouring rounds: `15.2x`."""
    return f"{statistics.median(a / b for a, b in zip(ours, theirs, strict=True)):.1f}x"


def milliseconds(*seconds: float) -> str:
    """`4.3 / 6.2 ms`."""
    return " / ".join(f"{value * 1000:,.1f}" for value in seconds) + " ms"


@dataclass(frozen=True)
class Row:
    """One line of the final table; `note` says how the figure was measured."""

    what: str
    longrun: str
    literal: str = ""
    pgbench: str = ""
    ratio: str = ""
    note: str = ""


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    head = ("measure", "Longrun", "literal", "pgbench", "ratio", "how")
    lines = [head, *((r.what, r.longrun, r.literal, r.pgbench, r.ratio, r.note) for r in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head) - 1)]
    texts = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)) + f" | {line[-1]} |"
        for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|---|"
    return "\n".join([texts[0], rule, *texts[1:]])
