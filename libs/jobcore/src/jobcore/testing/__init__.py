"""Runs a task in a test: with the real context and the real checks of input and result, and without any server.

from jobcore.testing import run

def test_greet() -> None:
    done = run(greet, {"name": "Ada"})
    assert done.result == "Hello, Ada!"
    assert done.logs == ["greeting Ada"]
"""

from jobcore.testing.cases import run, run_async
from jobcore.testing.memory_store import InputContent, OnEvent
from jobcore.testing.record import File, Run

__all__ = ["File", "InputContent", "OnEvent", "Run", "run", "run_async"]
