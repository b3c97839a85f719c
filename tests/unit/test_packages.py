"""Each package by itself is fit to be published, and all of them have one version."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.packages import CHART, PACKAGES, PAGES, ROOT, chart_with, package_with, page_with, version, versioned


def ours(project: dict[str, Any]) -> list[Requirement]:
    """Which of our packages a project needs."""
    extras = project.get("optional-dependencies", {}).values()
    needed = [Requirement(line) for lines in [project["dependencies"], *extras] for line in lines]
    return [requirement for requirement in needed if requirement.name.startswith("longrun")]


def test_the_version_stands_in_every_package_the_chart_and_on_the_pages() -> None:
    for path, text in versioned().items():
        assert path.read_text() == text, f"{path.relative_to(ROOT)} has not the version in VERSION: make version"


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_new_version_reaches_a_package_and_all_of_ours_that_it_needs(package: Path) -> None:
    project = tomllib.loads(package_with("9.8.7rc1", (package / "pyproject.toml").read_text()))["project"]
    assert project["version"] == "9.8.7rc1"
    assert {str(requirement.specifier) for requirement in ours(project)} <= {"==9.8.7rc1"}
    assert project["requires-python"] == ">=3.11"


def test_a_new_version_reaches_the_chart_and_its_images() -> None:
    before, after = (text.splitlines() for text in (CHART.read_text(), chart_with("9.8.7", CHART.read_text())))
    changed = [line for line, old in zip(after, before, strict=True) if line != old]
    assert changed == ["version: 9.8.7", "appVersion: 9.8.7"]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_new_version_reaches_the_pages_that_show_a_task_package(page: Path) -> None:
    assert page_with("9.8.7", page.read_text()).count('"longrun-jobcore~=9.8.0"') == 1


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_package_carries_the_licence_and_says_what_it_is(package: Path) -> None:
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert (package / "LICENSE").read_text() == (ROOT / "LICENSE").read_text(), "copy LICENSE into the package"
    assert project["license-files"] == ["LICENSE"]
    assert (package / project["readme"]).read_text().startswith("# ")
    assert all(project[field] for field in ("description", "authors", "keywords", "classifiers"))
    assert version() == project["version"]
