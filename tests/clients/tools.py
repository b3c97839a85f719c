"""Generators and compilers: those on the PATH or, with `LONGRUN_CLIENTS_INSTALL`, installed into a temporary folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

INSTALL: Final = "LONGRUN_CLIENTS_INSTALL"
PYTHON_TOOLS: Final = ("openapi-python-client==0.29.1", "openapi-generator-cli==7.26.0", "httpx", "attrs")
NODE_TOOLS: Final = (
    "openapi-typescript@7.13.0",
    "openapi-fetch@0.17.0",
    "typescript@5.9.3",
    "@types/node@22",
    "@redocly/cli@2",
    "@stoplight/spectral-cli@6",
)
TIMEOUT_S: Final = 280


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command, and return its standard output; AssertionError with all its output if it fails."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class Tools:
    """Where the tools are. Each method skips the test if its tool is not here and must not be installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._installs = bool(os.environ.get(INSTALL))
        if self._installs:
            self._install()

    def python(self) -> Path:
        """A Python that has what the generated client needs."""
        return self.folder / "python/bin/python" if self._installs else Path(sys.executable)

    def find(self, name: str) -> str:
        """The path of a tool."""
        places = [self.folder / "python/bin", self.folder / "node/node_modules/.bin", os.environ.get("PATH", "")]
        found = shutil.which(name, path=os.pathsep.join(map(str, places)))
        if found is None:
            pytest.skip(f"{name} is not installed; `make clients` installs what pip and npm have")
        return found

    def node_modules(self) -> Path:
        """The folder with the libraries that a generated TypeScript client needs."""
        folder = self.folder / "node/node_modules"
        if not folder.exists():
            pytest.skip("openapi-fetch is not installed; `make clients` installs it")
        return folder

    def _install(self) -> None:
        run(sys.executable, "-m", "venv", self.folder / "python")
        run(self.folder / "python/bin/python", "-m", "pip", "install", "--quiet", *PYTHON_TOOLS)
        (self.folder / "node").mkdir()
        if npm := shutil.which("npm"):
            run(npm, "install", "--no-audit", "--no-fund", "--prefix", self.folder / "node", *NODE_TOOLS)
