"""The `longrun` command, run in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from longrun_client import cli


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> Ran:
        monkeypatch.delenv("COLUMNS", raising=False)  # pytest-xdist sets it
        monkeypatch.setattr(sys, "argv", ["longrun", *arguments])
        try:
            cli.main()
            code = 0
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        return Ran(code, *capfd.readouterr())

    return run
