"""Every command and every Python snippet of the pages for users works as typed, and shows what the page shows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from longrun_local import services
from longrun_local.postgres import EmbeddedPostgres
from tests.docs.conftest import QUICKSTART, TASKS
from tests.docs.pages import ROOT, blocks
from tests.docs.shell import Shell, as_pattern
from tests.fault.launched import Launched

pytestmark = pytest.mark.timeout(300)

README = ROOT / "README.md"
OPERATIONS = ROOT / "docs/operations.md"
TYPED = [README, QUICKSTART, *(ROOT / "docs" / f"{name}.md" for name in ("api", "schedules", "scrape"))]
SNIPPETS = [
    QUICKSTART,
    ROOT / "docs/writing-a-task.md",
    ROOT / "docs/files.md",
    ROOT / "docs/transactions.md",
    ROOT / "libs/longrun/README.md",
    ROOT / "libs/longrun-client/README.md",
]
DONE_BEFORE = ("make run", TASKS)
"""What the fixtures did: `make run` is `longrun run-local`, and `longrun dev` with TASKS."""
CONTAINERS = ("make up", "make kind-up", "make dev", "helm ")
ELSEWHERE = ("make test", *CONTAINERS, "make dist", "python3 -m venv", "~/jobs/", "cd ~/jobs", "bin/longrun")
"""CI runs the first. The next need a container engine or a cluster: tests/compose, tests/e2e. The last are done by
`test_wheels`, in an empty environment."""
BIN = str(Path(sys.executable).parent)


@pytest.fixture(scope="module")
def addresses(longrun: Launched, example_domain: str) -> dict[str, str]:
    """What the pages call it, and where it is here."""
    return {
        "http://127.0.0.1:8000": longrun.url,
        "localhost:8000": longrun.url,
        "https://example.com": example_domain,
        "https://example.org": example_domain,
        ".venv/bin/": f"{BIN}/",
    }


@pytest.fixture(scope="module")
def environment(longrun: Launched) -> dict[str, str]:
    """The client's address, the database's, and the programs of the checkout on the PATH."""
    data = longrun.home.path / "data/postgres"
    port = int((data / "data/postmaster.pid").read_text().splitlines()[3])
    database_url = EmbeddedPostgres(data, port).url
    return {"LONGRUN_URL": longrun.url, "DATABASE_URL": database_url, "PATH": f"{BIN}:{os.environ['PATH']}"}


def typed(page: Path) -> Iterator[tuple[str, str | None, int]]:
    for block in blocks(page):
        for command, shown in block.commands():
            if command and not command.startswith((*DONE_BEFORE, *ELSEWHERE)):
                yield command, shown, block.line


def here(text: str, addresses: dict[str, str]) -> str:
    for theirs, ours in addresses.items():
        text = text.replace(theirs, ours)
    return text


def as_on_the_page(text: str, addresses: dict[str, str]) -> str:
    for theirs, ours in addresses.items():
        text = text.replace(ours, theirs)
    return text


@pytest.mark.parametrize("page", TYPED, ids=lambda page: page.stem)
def test_every_command_works_and_shows_what_the_page_shows(
    page: Path, workplace: Path, addresses: dict[str, str], environment: dict[str, str]
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("the pages type curl, which is not on this machine")
    commands = list(typed(page))
    assert commands, "the page has none"
    with Shell(workplace, environment) as shell:
        for command, shown, line in commands:
            code, output = shell.run(here(command, addresses))
            place = f"{page.name}, block at line {line}: {command}\n{output}"
            assert code == 0, f"exit code {code}: {place}"
            if shown is not None:
                seen = as_on_the_page(output, addresses).strip()
                assert as_pattern(shown).fullmatch(seen), f"the page shows something else: {place}"


@pytest.mark.parametrize("page", SNIPPETS, ids=lambda page: page.parent.name + "-" + page.stem)
def test_every_snippet_runs(
    page: Path, workplace: Path, addresses: dict[str, str], environment: dict[str, str]
) -> None:
    code = "\n\n".join(block.text for block in blocks(page) if block.language == "python")
    assert code
    done = subprocess.run(
        [sys.executable, "-c", here(code, addresses)],
        env=environment,
        cwd=workplace,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_shows_the_task_of_the_quickstart_on_its_first_screen() -> None:
    [ours] = [block for block in blocks(README) if block.language == "python"]
    [theirs] = [block for block in blocks(QUICKSTART) if block.language == "python" and "@task" in block.text]
    assert ours.text.split() == theirs.text.split()
    assert ours.line + ours.text.count("\n") < 25
    assert len([line for line in ours.text.splitlines() if line]) <= 5, "a task type needs no ceremony"


def test_the_commands_for_operators_are_those_that_run_here() -> None:
    """`make run` and all tests start processes by `services`, so what they show holds for the page's commands."""
    table = re.findall(
        r"^\| (?:migrations|API|worker|scraper-worker|keeper) \| `([^`]+)` \|", OPERATIONS.read_text(), re.M
    )
    ours = [
        services.migrations(),
        services.api("0.0.0.0", 8000),
        services.worker(services.WORKER_APP, "worker"),
        services.worker(services.SCRAPER_APP, "scraper"),
        services.keeper(),
    ]
    for shown, started in zip(table, ours, strict=True):
        assert set(shown.removeprefix("python -m ").split()) <= set(started), shown
