"""What the chart renders changes only on purpose; both Helms render the same."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from tests.chart import golden
from tests.chart.helm import Helm


@pytest.mark.parametrize("shown", golden.SHOWN, ids=lambda case: case.stem.removesuffix("-values"))
def test_the_chart_renders_what_its_golden_shows(each_helm: Helm, shown: Path) -> None:
    kept = golden.path(shown)
    diff = difflib.unified_diff(
        kept.read_text().splitlines(),
        golden.text(each_helm.render(shown)).splitlines(),
        str(kept),
        str(shown),
        n=2,
        lineterm="",
    )
    assert not (lines := list(diff)), "\n".join([*lines, "Wanted? Renew: python -m tests.chart.golden"])
