"""Every test asserts something, and none waits for a time where it could wait for an event."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.harness import ROOT
from tests.waiting import PATIENCE_S

TESTS = ROOT / "tests"
MODULES = {path: ast.parse(path.read_text()) for path in sorted(TESTS.rglob("*.py"))}
FAILING = {"raises", "warns", "fail", "run_state_machine_as_test"}
"""Functions of others that fail a test: pytest's, and Hypothesis' for a machine whose rules assert."""
HELPERS = {"harness.py": "Harness", "e2e/release.py": "Release", "integration/store/world.py": "World"}
"""Classes whose methods tests call, by the module."""
PACED = ("chaos/", "fault/tasks", "fault/link.py", "waiting.py")
"""The storm, whose faults last for a while; tasks under test; a slow network; the one place that waits."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(node: ast.AST) -> Iterator[Function]:
    return (each for each in ast.walk(node) if isinstance(each, Function))


def calls(node: ast.AST) -> Iterator[ast.Call]:
    return (each for each in ast.walk(node) if isinstance(each, ast.Call))


def called(call: ast.Call) -> str:
    """The last part of what is called."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def asserts(node: ast.AST) -> bool:
    """Whether it has an assertion of its own."""
    return any(isinstance(each, ast.Assert) for each in ast.walk(node)) or any(
        called(call) in FAILING | {"AssertionError"} for call in calls(node)
    )


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@cache
def imported(path: Path) -> dict[str, str]:
    """What the names stand for that this module imports from others, each as `module.name`."""
    return {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(MODULES[path])
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def plainly_called(path: Path, function: Function) -> set[str]:
    """The functions of the tests that it calls by a plain name, each as `module.name`."""
    names = [call.func.id for call in calls(function) if isinstance(call.func, ast.Name)]
    return {imported(path).get(name, f"{name_of(path)}.{name}") for name in names}


def asserting_functions() -> set[str]:
    """The functions that assert, by themselves or by what they call, each as `module.name`."""
    known, callers = {"tests.waiting.until"}, dict[str, set[str]]()
    for path, module in MODULES.items():
        for function in functions(module):
            name = f"{name_of(path)}.{function.name}"
            if asserts(function):
                known.add(name)
            else:
                callers[name] = plainly_called(path, function)
    while more := {name for name, names in callers.items() if name not in known and names & known}:
        known |= more
    return known


def asserting_methods() -> set[str]:
    """The methods of helpers that wait for something or check it."""
    classes = [
        node
        for path, name in HELPERS.items()
        for node in MODULES[TESTS / path].body
        if isinstance(node, ast.ClassDef) and node.name == name
    ]
    assert len(classes) == len(HELPERS)
    methods = [method for each in classes for method in functions(each) if not method.name.startswith("_")]
    return {method.name for method in methods if asserts(method) or "until" in map(called, calls(method))}


def test_every_test_asserts_something() -> None:
    asserting, methods = asserting_functions(), asserting_methods()
    idle = [
        f"{path.relative_to(ROOT)}:{test.lineno} {test.name}"
        for path, module in MODULES.items()
        for test in functions(module)
        if test.name.startswith("test_") and not asserts(test)
        if not plainly_called(path, test) & asserting and not methods & set(map(called, calls(test)))
    ]
    assert not idle, "\n".join(idle)


def test_a_sleep_in_a_test_says_why_there_is_no_event_to_wait_for() -> None:
    silent = []
    for path, module in MODULES.items():
        if str(path.relative_to(TESTS)).startswith(PACED):
            continue
        lines = path.read_text().splitlines()
        for call in calls(module):
            if called(call) == "sleep" and ast.unparse(call.args[0]) != "0" and "  # " not in lines[call.lineno - 1]:
                silent.append(f"{path.relative_to(ROOT)}:{call.lineno} {ast.unparse(call)}")
    assert not silent, "\n".join([*silent, "wait by tests.waiting.until, or say in a comment why that cannot be"])


WAITS = {"until": 1, "until_async": 1, "stopped": 1, "reaches": 2, "all_reach": 2}
"""Functions that wait for what another process does; which of their arguments is for how many seconds."""


def numbers(path: Path) -> dict[str, float]:
    """The numbers that this module gives names to."""
    return {
        target.id: float(node.value.value)
        for node in MODULES[path].body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, int | float)
    }


def patience(path: Path, call: ast.Call) -> float:
    """For how many seconds this call waits at most, if that can be read here; otherwise infinity."""
    named = [keyword.value for keyword in call.keywords if keyword.arg == "within_s"]
    given = next(iter(named or call.args[WAITS[called(call)] :]), None)
    if isinstance(given, ast.Constant) and isinstance(given.value, int | float):
        return float(given.value)
    return numbers(path).get(given.id, math.inf) if isinstance(given, ast.Name) else math.inf


def test_no_test_has_less_patience_than_a_busy_machine_needs() -> None:
    hasty = [
        f"{path.relative_to(ROOT)}:{call.lineno} {ast.unparse(call)}"
        for path, module in MODULES.items()
        for call in calls(module)
        if called(call) in WAITS and patience(path, call) < PATIENCE_S
        if not str(path.relative_to(TESTS)).startswith(PACED)
        if "  # " not in path.read_text().splitlines()[call.end_lineno - 1]  # type: ignore[operator]
    ]
    assert not hasty, "\n".join([*hasty, f"wait for up to {PATIENCE_S:g} s, or say in a comment why not"])
