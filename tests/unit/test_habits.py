"""What the next engineer is given works: hooks, generated pages, the development container, CONTRIBUTING."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness import ROOT

BIN = ROOT / ".venv" / "bin"
PREK = shutil.which("prek", path=f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}")
UNFORMATTED = "x = {  'a':1 }\n"
UNDEFINED = "print(nobody_defined_this)\n"


def hooks() -> list[dict[str, Any]]:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert {repo["repo"] for repo in config["repos"]} == {"local"}, "a hook of another repository is downloaded"
    return [hook for repo in config["repos"] for hook in repo["hooks"]]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+):(?: |$)", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_hook_runs_a_tool_of_the_locks_and_downloads_nothing() -> None:
    locked = (ROOT / "requirements" / "test.lock").read_text()
    packages = {"ruff": "ruff", "lint-imports": "import-linter"}
    for hook in hooks():
        assert hook["language"] == "system", hook
        program, argument = hook["entry"].split()[:2] if " " in hook["entry"] else (hook["entry"], "")
        if program == "make":
            assert argument in targets(), hook
        else:
            assert f"\n{packages[program.removeprefix('.venv/bin/')]}==" in locked, hook


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A small repository with our hooks and our tools."""
    for name in (".pre-commit-config.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    (tmp_path / ".gitignore").write_text(".venv\n")
    run(tmp_path, "git", "init", "--quiet")
    assert PREK is not None
    run(tmp_path, PREK, "install")
    yield tmp_path
    run(tmp_path, PREK, "uninstall")


def run(folder: Path, *command: str) -> str:
    result = attempt(folder, *command)
    assert result.returncode == 0, result.stdout
    return result.stdout


def attempt(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run it as somebody without settings of git would."""
    name = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@a.test", "GIT_COMMITTER_NAME": "A"}
    outer = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "PREK_"))}
    env = (
        outer
        | name
        | {"GIT_COMMITTER_EMAIL": "a@a.test", "GIT_CONFIG_GLOBAL": os.devnull, "HOME": str(folder / "home")}
    )
    return subprocess.run(
        command,
        cwd=folder,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=60,
    )


@pytest.mark.skipif(PREK is None or not BIN.exists(), reason="make installs prek and the tools into .venv")
def test_a_commit_of_python_that_is_not_in_order_is_refused_and_the_mended_one_passes(checkout: Path) -> None:
    module = checkout / "module.py"
    for text in (UNFORMATTED, UNDEFINED):
        module.write_text(f'"""A module."""\n\n{text}')
        run(checkout, "git", "add", "module.py", ".gitignore")
        refused = attempt(checkout, "git", "commit", "-m", "A module")
        assert refused.returncode != 0, text
        assert "Failed" in refused.stdout, refused.stdout
    module.write_text('"""A module."""\n\nx = {"a": 1}\n')
    run(checkout, "git", "add", "module.py")
    run(checkout, "git", "commit", "-m", "A module")


def test_make_test_runs_all_that_pytest_alone_would_run_and_nothing_twice() -> None:
    given = re.findall(r"^(?:UNIT|OTHERS) = .*$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert len(given) == 2
    run = [path for line in given for path in re.findall(r"(?<!--ignore )(tests/[\w/]+)", line)]
    left_to_the_first = re.findall(r"--ignore (tests/[\w/]+)", given[1])
    assert set(left_to_the_first) < set(run)
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert sorted(set(run) - set(left_to_the_first)) == sorted(settings["testpaths"])
    assert len(run) == len(set(run))


def test_the_development_container_has_what_the_servers_tests_need_and_sets_itself_up() -> None:
    folder = ROOT / ".devcontainer"
    container = json.loads((folder / "devcontainer.json").read_text())
    make, target = container["postCreateCommand"].split()
    assert make == "make"
    assert target in targets()
    dockerfile = (folder / container["build"]["dockerfile"]).read_text()
    needed = set(re.findall(r"missing\+?=\((\w[\w-]*)\)", (ROOT / ".ci" / "stock").read_text())) | {"make", "git"}
    assert needed >= {"postgresql", "make"}
    assert all(f" {package}" in dockerfile for package in needed | {"redis-server", "pgbouncer"})


def test_commands_and_files_that_contributing_and_the_security_policy_name_are_there() -> None:
    for page in ("CONTRIBUTING.md", "SECURITY.md"):
        text = (ROOT / page).read_text()
        for target in re.findall(r"\bmake ([a-z0-9-]+)", text):
            assert target in targets(), f"{page}: make {target}"
        named = re.findall(r"\]\(([^)#:]+)\)", text) + re.findall(
            r"(?:pytest|ci/|then) `?((?:tests|docs)/[\w/.*-]+)", text
        )
        for path in named:
            assert list(ROOT.glob(path)), f"{page}: {path}"
    for module in re.findall(r"python -m ([\w.]+)", (ROOT / "CONTRIBUTING.md").read_text()):
        assert (ROOT / f"{module.replace('.', '/')}.py").exists(), module
