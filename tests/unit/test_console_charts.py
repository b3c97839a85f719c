"""The charts of the console show every figure within their box, and say in words what they show."""

from __future__ import annotations

import re
from typing import Any

import pytest

from longrun_api.console import charts

NOTHING = {"submitted": 0, "succeeded": 0, "failed": 0, "cancelled": 0, "retried": 0, "wait_s": None, "run_s": None}
BUSY = {
    **NOTHING, "submitted": 5, "succeeded": 6, "failed": 3, "cancelled": 1, "retried": 2,
    "wait_s": {"p50": 1.0, "p95": 4.0}, "run_s": {"p50": 60.0, "p95": 120.0},
}  # fmt: skip


def drawn(*figures: dict[str, Any]) -> list[charts.Chart]:
    items = [{**each, "at": f"2026-11-30T{10 + n // 60}:{n % 60:02}:00Z"} for n, each in enumerate(figures)]
    return charts.of_stats({"step_s": 60, "items": items, "total": figures[-1]})


def heights(path: str) -> list[tuple[str, float]]:
    """Where each step of a line begins (M: after a gap), and how high it is."""
    return [(kind, charts.HEIGHT - float(y)) for kind, y in re.findall(r"([ML])\S+ (\S+?)h", path)]


def test_bars_stand_on_each_other_and_the_highest_reaches_the_top() -> None:
    throughput, *_ = drawn(NOTHING, BUSY)
    assert [(bar.kind, bar.x, bar.y, bar.height) for bar in throughput.bars] == [
        ("SUCCESS", 300, 40, 60),
        ("FAILED", 300, 10, 30),
        ("CANCELLED", 300, 0, 10),
    ]
    [submitted] = throughput.lines
    assert heights(submitted.path) == [("M", 0), ("L", 50)]
    assert throughput.peak == "up to 10 a minute"


def test_a_line_has_a_gap_where_nothing_was_measured() -> None:
    _, waits, runs = drawn(BUSY, NOTHING, BUSY, BUSY)
    assert {line.kind: heights(line.path) for line in waits.lines} == {
        "half": [("M", 25), ("M", 25), ("L", 25)],
        "most": [("M", 100), ("M", 100), ("L", 100)],
    }
    assert runs.peak == "up to 2 min 0 s"


def test_a_chart_says_in_words_what_it_shows() -> None:
    throughput, waits, runs = drawn(NOTHING, BUSY)
    assert throughput.summary == "6 succeeded, 3 failed, 1 cancelled, 5 submitted, 2 retried"
    assert throughput.steps[1].title == "2026-11-30 10:01 UTC: 6 succeeded, 3 failed, 1 cancelled, 5 submitted"
    assert waits.summary == "50 % at most 1.0 s, 95 % at most 4.0 s"
    assert [step.title.partition(": ")[2] for step in runs.steps] == [
        "none ended",
        "50 % at most 1 min 0 s, 95 % at most 2 min 0 s",
    ]


@pytest.mark.parametrize("count", [1, 60, 168])
def test_a_time_without_jobs_is_drawn_as_nothing(count: int) -> None:
    for chart in drawn(*[NOTHING] * count):
        assert not chart.bars
        assert {height for line in chart.lines for _, height in heights(line.path)} <= {0}
        assert len(chart.steps) == count
