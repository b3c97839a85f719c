"""Renews the goldens after a wanted change of the chart: `python -m tests.chart.golden`; read their diff in git."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from tests.chart.helm import CASES, found
from tests.chart.objects import Objects

FOLDER = Path(__file__).parent / "golden"
SHOWN = [case for case in CASES if case.stem in ("default-values", "everything-values")]


def path(case: Path) -> Path:
    """The golden of a values file."""
    return FOLDER / f"{case.stem.removesuffix('-values')}.yaml"


def text(objects: Objects) -> str:
    """All objects in the order of their names, without what is new in each rendering."""
    ordered = sorted((_steady(each) for each in objects.all), key=lambda each: (each["kind"], each["metadata"]["name"]))
    dumped: str = yaml.safe_dump_all(ordered, sort_keys=True, width=120, allow_unicode=True)
    return dumped


def _steady(node: Any) -> Any:
    """The same with random passwords, and checksums of them, masked."""
    if isinstance(node, dict):
        return {key: "MASKED" if key == "checksum/secrets" else _steady(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_steady(each) for each in node]
    return re.sub(r"\b([A-Za-z0-9]{32}|lr_\w{64})\b|^[\w-]{43}=$", "MASKED", node) if isinstance(node, str) else node


def renew() -> None:
    """Write the goldens as the newest Helm found renders them now."""
    for case in SHOWN:
        path(case).write_text(text(found()[0].render(case)))


if __name__ == "__main__":
    renew()
