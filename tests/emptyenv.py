"""A virtual environment with nothing of this checkout in it, and no index needed to fill it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement


class EmptyEnvironment:
    """A virtual environment in `folder`, with Python's standard library alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)

    @property
    def site_packages(self) -> Path:
        """Where its packages lie."""
        return Path(sysconfig.get_path("purelib", "venv", {"base": str(self.folder)}))

    def program(self, name: str) -> str:
        """A program of this environment."""
        return str(self.folder / "bin" / name)

    def run(self, *command: str, cwd: Path, within_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a program of this environment to its end, as its user would in the folder `cwd`."""
        return subprocess.run(
            [self.program(command[0]), *command[1:]],
            cwd=cwd, env=outer(), capture_output=True, text=True, check=False, timeout=within_s,
        )  # fmt: skip

    def add_locked(self, lock: Path) -> None:
        """Put the distributions that a lock names into it, as they lie beside this Python.

        They were installed from an index, by their hashes, when the environment of the tests was made.
        """
        for requirement in _requirements(lock):
            if requirement.marker is None or requirement.marker.evaluate():
                found = distribution(requirement.name)
                assert found.version in requirement.specifier, f"{lock} wants {requirement}, here is {found.version}"
                _place(found, self.site_packages)

    def install(self, *wanted: str, wheels: Path) -> None:
        """Let pip install requirements, and what they need, from a folder of wheels and from nowhere else."""
        pip = [sys.executable, "-m", "pip", "--isolated", "--python", self.program("python")]
        subprocess.run([*pip, "install", "--quiet", "--no-index", "--find-links", wheels, *wanted], check=True)
        subprocess.run([*pip, "check"], check=True)


def outer(**more: str) -> dict[str, str]:
    """What a user's shell gives to a program: nothing of the tests' own environment, and what is named here."""
    return {name: os.environ[name] for name in ("HOME", "PATH", "LANG", "TMPDIR") if name in os.environ} | more


def _requirements(lock: Path) -> Iterator[Requirement]:
    for line in lock.read_text().splitlines():
        if line and not line.startswith(("#", " ")):
            yield Requirement(line.removesuffix("\\").strip())


def _place(found: Distribution, site_packages: Path) -> None:
    for file in found.files or ():
        if ".." in file.parts:
            continue  # a script or a header
        target = site_packages / file
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(str(file.locate()), target)
        except OSError:  # on another file system
            shutil.copy2(str(file.locate()), target)
