"""The chart's README names every value, and none that there is not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.chart.helm import CHART, Helm
from tests.chart.values_page import README, written

ROW = re.compile(r"^\| `([^`]+)` \| (?:`(.*?)`)? \| (.*) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def rows() -> dict[str, tuple[str, str]]:
    """Default and meaning by path."""
    tables = README.read_text().partition("## Values\n")[2]
    return {path: (default, meaning) for path, default, meaning in ROW.findall(tables)}


@pytest.fixture(scope="module")
def defaults() -> Any:
    return yaml.safe_load((CHART / "values.yaml").read_text())


def leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    else:
        yield path


def at(node: Any, path: str) -> Any:
    for key in path.split("."):
        node = node[key]
    return node


def test_every_value_is_documented(rows: dict[str, tuple[str, str]], defaults: Any) -> None:
    for path in leaves(defaults):
        above = [".".join(path[: length + 1]) for length in range(len(path))]
        assert any(rows.get(each, ("", ""))[1].strip() for each in above), f"{'.'.join(path)} has no row or no meaning"


def test_every_documented_value_is_there_with_that_default(rows: dict[str, tuple[str, str]], defaults: Any) -> None:
    assert rows
    for path, (default, meaning) in rows.items():
        found = at(defaults, path)
        assert meaning.strip(), path
        if default:
            assert yaml.safe_load(default) == found, path


def test_the_tables_are_those_made_from_values_yaml() -> None:
    assert README.read_text() == written(), "run `python -m tests.chart.values_page`"


def test_the_schema_knows_every_value(helm: Helm, defaults: Any) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert defaults.keys() == schema["properties"].keys()
    helm.render(defaults)


def examples() -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(examples())))
def test_the_examples_are_values_that_the_chart_takes(helm: Helm, number: int) -> None:
    example = yaml.safe_load(examples()[number])
    objects = helm.render(example)
    for name in example.get("workloads", {}):
        assert objects.one("Deployment", f"longrun-{name}")


def test_commands_name_objects_that_the_chart_makes(helm: Helm) -> None:
    objects = helm.render({"backup": {"enabled": True}, "flower": {"enabled": True, "existingSecret": "login"}})
    names = {(each["kind"].lower(), each["metadata"]["name"]) for each in objects.all}
    named = re.findall(r"(cronjob|service|deployment)/(longrun-[a-z-]+)", README.read_text())
    assert named
    assert set(named) <= names


def test_every_value_that_the_upgrade_notes_name_is_there(defaults: Any) -> None:
    notes = (CHART / "UPGRADING.md").read_text()
    known = {".".join(path[: length + 1]) for path in leaves(defaults) for length in range(len(path))}
    free_form = ("config.",)  # maps whose keys are the user's
    named = set(re.findall(rf"`((?:{'|'.join(defaults)})\b[\w.]*)", notes))
    assert named > {"allowedHosts", "networkPolicy.clients"}
    assert {name for name in named if not name.startswith(free_form)} <= known


def test_the_chart_says_who_maintains_it_and_has_notes_for_its_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["maintainers"]
    assert f"\n## {chart['version']}" in (CHART / "UPGRADING.md").read_text()
