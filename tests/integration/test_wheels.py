"""Longrun as its user gets it: wheels alone, in an empty environment outside this checkout."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from packaging.metadata import Metadata

from longrun_local.home import Home
from longrun_local.ports import free_port
from longrun_local.postgres import EmbeddedPostgres
from longrun_local.valkey import EmbeddedValkey
from tests.emptyenv import EmptyEnvironment, outer
from tests.packages import PACKAGES, ROOT, build, version
from tests.waiting import until

pytestmark = pytest.mark.timeout(600)

QUICKSTART = (ROOT / "docs/quickstart.md").read_text()
FIRST_RESULT_S = 180.0
PRINT_FILES = """
import jobcore, longrun_api, longrun_client, longrun_local, longrun_scraper, longrun_worker, greetings
for module in (jobcore, longrun_api, longrun_client, longrun_local, longrun_scraper, longrun_worker, greetings):
    print(module.__file__)
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels of all packages, as `make dist` builds them, and of the quickstart's task package."""
    dist, greetings = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("greetings")
    for package in PACKAGES:
        build(package, dist)
    (greetings / "pyproject.toml").write_text(_snippet("toml", "longrun.tasks"))
    (greetings / "greetings.py").write_text(_snippet("python", "@task"))
    build(greetings, dist, "--wheel")
    return dist


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A user's folder, with files that are called as libraries are; what was started there is stopped."""
    for name in ("celery.py", "queue.py"):
        (tmp_path / name).write_text("raise RuntimeError('this is not the library')\n")
    yield tmp_path
    home = Home(tmp_path / ".longrun")
    home.stop_leftovers()
    EmbeddedPostgres(home.data / "postgres").stop_leftover()
    EmbeddedValkey(home.data / "valkey").stop_leftover()


def test_a_wheel_holds_every_file_of_its_package_and_metadata_fit_to_be_published(wheels: Path) -> None:
    for package in PACKAGES:
        wheel = next(wheels.glob(f"{_project_name(package).replace('-', '_')}-{version()}-py3-none-any.whl"))
        with zipfile.ZipFile(wheel) as archive:
            held = {name for name in archive.namelist() if ".dist-info/" not in name}
            info = f"{wheel.name.removesuffix('-py3-none-any.whl')}.dist-info"
            metadata = Metadata.from_email(archive.read(f"{info}/METADATA"), validate=True)
            licence = archive.read(f"{info}/licenses/LICENSE").decode()
        sources = (path.relative_to(package / "src") for path in (package / "src").rglob("*") if path.is_file())
        assert held == {str(path) for path in sources if "__pycache__" not in path.parts}
        assert licence == (ROOT / "LICENSE").read_text()
        assert (metadata.license_expression, str(metadata.version)) == ("MIT", version())
        assert metadata.description_content_type == "text/markdown"
        assert metadata.description == (package / "README.md").read_text()


def test_wheels_alone_run_everything_and_a_task_of_ones_own(wheels: Path, project: Path) -> None:
    env = EmptyEnvironment(project / ".venv")
    env.add_locked(ROOT / "requirements/run.lock")
    env.install("longrun[server]", "greetings", wheels=wheels)
    files = env.run("python", "-P", "-c", PRINT_FILES, cwd=project).stdout.split()
    assert len(files) == 7
    assert all(Path(file).is_relative_to(env.folder) for file in files), files
    deadline = time.monotonic() + FIRST_RESULT_S
    with _running(env, project, deadline, "run-local") as url:
        submit = ("longrun", "--server", url, "submit", "greet", "--name", "Ada", "--follow")
        submitted = env.run(*submit, cwd=project, within_s=deadline - time.monotonic())
        assert submitted.returncode == 0, submitted.stderr
        assert json.loads(submitted.stdout) == "Hello, Ada!"
    (project / "shouting.py").write_text(
        _snippet("python", "@task").replace("greet", "shout").replace("Hello", "HELLO")
    )
    shout = ("shout", "--name", "Ada")
    alone = env.run("longrun", "run", *shout, "--tasks", "shouting.py", cwd=project)
    assert (alone.returncode, alone.stdout) == (0, '"HELLO, Ada!"\n'), alone.stderr
    with _running(env, project, time.monotonic() + FIRST_RESULT_S, "dev", "shouting.py") as url:
        submitted = env.run("longrun", "--server", url, "submit", *shout, "--follow", cwd=project)
        assert json.loads(submitted.stdout) == "HELLO, Ada!", submitted.stderr


def test_the_client_alone_says_what_its_server_commands_need(wheels: Path, tmp_path: Path) -> None:
    env = EmptyEnvironment(tmp_path / ".venv")
    env.add_locked(ROOT / "libs/longrun-client/requirements.lock")
    env.install("longrun", wheels=wheels)
    assert env.run("longrun", "--version", cwd=tmp_path).stdout.strip() == version()
    assert "No module named 'jobcore'" in env.run("python", "-c", "import jobcore", cwd=tmp_path).stderr
    for command in ("run-local", "dev", "run", "demo"):
        refused = env.run("longrun", command, cwd=tmp_path)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.startswith(f"longrun: `longrun {command}` needs")
        assert "longrun[server]" in refused.stderr


@contextmanager
def _running(env: EmptyEnvironment, project: Path, deadline: float, *command: str) -> Iterator[str]:
    """`longrun run-local` or `dev` in the user's folder until the block ends; gives the address of its API."""
    port, log = free_port(), project / f"{command[0]}.log"
    settings = outer(LONGRUN_PORT=str(port), LONGRUN_DEMO_PORT=str(free_port()))
    with log.open("w") as output:
        running = subprocess.Popen(
            [env.program("longrun"), *command], cwd=project, env=settings, stdout=output, stderr=output
        )
    try:
        until(lambda: "ready on" in log.read_text() or running.poll(), deadline - time.monotonic(), "Longrun is up")
        yield f"http://127.0.0.1:{port}"
    finally:
        running.send_signal(signal.SIGINT)
        code = running.wait()
        print(log.read_text())
    assert code == 0


def _project_name(package: Path) -> str:
    name: str = tomllib.loads((package / "pyproject.toml").read_text())["project"]["name"]
    return name


def _snippet(language: str, text: str) -> str:
    """The one snippet of the quickstart in this language that has the text."""
    snippets = re.findall(rf"^```{language}\n(.*?)^```$", QUICKSTART, flags=re.MULTILINE | re.DOTALL)
    (snippet,) = (snippet for snippet in snippets if text in snippet)
    return str(snippet)
