"""What the pages name exists: linked files and headings, make targets, paths, and the tests of docs/reliability.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, blocks, prose

LINK = re.compile(r"\]\((?!https?://|mailto:)([^)#\s]*)(#[^)\s]*)?\)")
MAKE = re.compile(r"\bmake ([a-z][a-z0-9-]*)\b(?! [a-z])")
CODE = re.compile(r"`([^`\n]+)`")
FOLDERS = ("libs/", "services/", "docs/", "tests/", "bench/", "charts/", "k8s/", "deploy/", "requirements/", ".ci/")
JOBCORE = ROOT / "libs/jobcore/src/jobcore"
RELIABILITY = ROOT / "docs/reliability.md"
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading)).strip().lower().replace(" ", "-") for heading in headings
    }


@each_page
def test_relative_links_lead_somewhere(page: Path) -> None:
    dead = []
    for target, anchor in LINK.findall(prose(page)):
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor[1:] not in anchors(file)):
            dead.append(target + anchor)
    assert not dead


@each_page
def test_make_targets_exist(page: Path) -> None:
    commands = [code for code in CODE.findall(prose(page)) if "make " in code]
    commands += [line for block in blocks(page) for line in block.text.splitlines() if "make " in line]
    commands += [line for line in prose(page).splitlines() if line.startswith("    make ")]
    assert {target for text in commands for target in MAKE.findall(text)} <= TARGETS


@each_page
def test_the_page_refers_to_nothing_outside_the_repository(page: Path) -> None:
    assert not re.findall(r"the seed\b|the design (?:first|says)|this session", prose(page))


@each_page
def test_paths_in_code_spans_exist(page: Path) -> None:
    missing = [
        code
        for code in CODE.findall(prose(page))
        if code.startswith(FOLDERS) and re.fullmatch(r"[\w./-]+", code) and not exists(page, code)
    ]
    assert not missing


def exists(page: Path, path: str) -> bool:
    return any((base / path).exists() for base in (ROOT, page.parent))


def test_the_makefile_names_its_own_targets_only() -> None:
    named = re.findall(r"`make ([a-z0-9-]+)", (ROOT / "pyproject.toml").read_text() + (ROOT / "Makefile").read_text())
    assert set(named) <= TARGETS


@pytest.mark.parametrize("page", [ROOT / "docs/architecture.md"], ids=lambda page: page.stem)
def test_modules_of_jobcore_exist_where_the_page_says(page: Path) -> None:
    modules = re.findall(r"`((?:store|supervision|worker|broker|keeper|admission)/\w+\.py)`", page.read_text())
    assert modules
    assert not [module for module in modules if not (JOBCORE / module).exists()]


def named_tests() -> Iterator[tuple[str, str]]:
    """File and phrase of every test that the last column of the page's tables names."""
    for row in re.findall(r"^\|.*\| (`[^|]*) \|$", RELIABILITY.read_text(), re.MULTILINE):
        for reference in row.split(";"):
            files = re.findall(r"`((?:\w+/)?test_\w+)`", reference)
            _, _, phrases = reference.partition(": ")
            for file in files:
                for phrase in (part for part in phrases.split(", ") if part) if len(files) == 1 else ():
                    yield file, phrase.strip()
                if not phrases or len(files) > 1:
                    yield file, ""


def test_every_test_that_the_reliability_page_names_exists() -> None:
    named = list(named_tests())
    assert len(named) > 80
    missing = []
    for file, phrase in named:
        found = [path for path in (ROOT / "tests").rglob(f"{Path(file).name}.py") if file in str(path.with_suffix(""))]
        names = [name for path in found for name in re.findall(r"def (test_\w+)", path.read_text())]
        words = re.sub(r"\W+", "_", phrase.lower().replace("'", "")).strip("_")
        if not any(words in re.sub(r"_s_", "s_", name) or words in name for name in names):
            missing.append(f"{file}: {phrase}")
    assert not missing, "\n".join(missing)


DECISIONS = sorted((ROOT / "docs/adr").glob("0*.md"))


def test_every_decision_has_a_status_and_a_date_and_is_in_the_index() -> None:
    index = (ROOT / "docs/adr/README.md").read_text()
    for page in DECISIONS:
        title, _, status = page.read_text().splitlines()[:3]
        assert title.startswith(f"# {int(page.name[:4])}. "), page
        assert re.match(r"Status: .*· \d{4}-\d\d-\d\d", status), page
        assert f"({page.name})" in index, page
