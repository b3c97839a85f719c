"""`longrun run` runs a task in the terminal, without any server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.harness import ROOT

LONGRUN = str(Path(sys.executable).parent / "longrun")
TASKS = """
import asyncio, subprocess, sys, time
from pydantic import BaseModel
from jobcore import AsyncContext, JobContext, PermanentError, task
from tests.blocking import block_through

class Point(BaseModel):
    x: int
    y: int = 0

@task
def echo_all(
    name: str, tags: list[str], at: Point, ratio: float = 0.5, loud: bool = False, limit: int | None = None
) -> dict:
    '''Return what it gets.'''
    return {"name": name, "tags": tags, "at": at, "ratio": ratio, "loud": loud, "limit": limit}

@task
def talk(ctx: JobContext) -> str:
    print("printed")
    subprocess.run([sys.executable, "-c", "print('by a process')"], check=True)
    ctx.log("a line")
    ctx.progress(1, 2, "half")
    ctx.emit("words", "a piece")
    return "ü"

@task
def whose(ctx: JobContext) -> str | None:
    return ctx.owner

@task
async def whose_soon(ctx: AsyncContext) -> str | None:
    return ctx.owner

@task
def fail(how: str) -> int:
    if how == "output":
        return "many"
    raise PermanentError("no such page") if how == "permanent" else ValueError("no luck")

@task
def tidy(ctx: JobContext) -> None:
    ctx.log("started")
    while not ctx.cancelled:
        time.sleep(0.01)
    ctx.log("tidied up")
    ctx.raise_if_cancelled()

@task
def stubborn(ctx: JobContext) -> None:
    ctx.log("started")
    try:
        time.sleep(600)
    finally:
        ctx.log("left")

@task
def block(ctx: JobContext) -> None:
    ctx.log("started")
    try:
        while True:
            block_through(signals=3)
    finally:
        ctx.log("left")

@task
async def wait(ctx: AsyncContext) -> None:
    ctx.log("started")
    try:
        await ctx.step("a", asyncio.sleep, 600)
    finally:
        ctx.log("left")
"""
NOWHERE = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1/0"}
"""There is no server at these addresses."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file of task types."""
    (tmp_path / "mine.py").write_text(TASKS)
    return tmp_path


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    outer = {key: value for key, value in os.environ.items() if not key.startswith("LONGRUN_")}
    return {**outer, **NOWHERE, "NO_COLOR": "1", "PYTHONPATH": str(ROOT), **extra}


def run(folder: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    command = [LONGRUN, "run", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(extra), capture_output=True, encoding="utf-8", check=False
    )


def test_the_result_alone_is_on_stdout_and_what_the_task_says_is_on_stderr(folder: Path) -> None:
    done = run(folder, "talk", "--tasks", "mine.py")
    assert (done.returncode, done.stdout) == (0, '"ü"\n')
    for said in ("printed", "by a process", "info      a line", "progress  1/2 half", "words     a piece"):
        assert said in done.stderr


@pytest.mark.parametrize("task", ["whose", "whose_soon"])
def test_a_task_finds_the_owner_that_is_given(folder: Path, task: str) -> None:
    assert run(folder, task, "--tasks", "mine.py", "--owner", "ada").stdout == '"ada"\n'


def test_tasks_are_found_in_the_setting_in_options_and_in_packages(folder: Path) -> None:
    (folder / "more").mkdir()
    (folder / "more/other.py").write_text("from jobcore import task\n@task\ndef other(n: int) -> int: return n\n")
    (folder / "broken.py").write_text("import no_such_library\n")
    listed = run(folder, "--tasks", "more", "--tasks", "broken.py", LONGRUN_TASKS="mine.py")
    assert listed.returncode == 0
    names = [line.split()[0] for line in listed.stdout.splitlines()]
    assert {"other", "talk", "sleep", "web_scrape"} <= set(names)
    assert "echo_all    Return what it gets." in listed.stdout
    assert "longrun: cannot import broken.py: ModuleNotFoundError" in listed.stderr
    assert run(folder, "other", "--n", "3", "--tasks", "more").stdout == "3\n"


def test_fields_are_parsed_by_their_types(folder: Path) -> None:
    (folder / "input.json").write_text('{"name": "file", "tags": [], "at": {"x": 1}}')
    fields = ("--name", "7", "--tags", "a", "--tags", "b", "--at", '{"x": 3}', "--ratio", "2", "--loud", "--limit", "5")
    done = run(folder, "--tasks", "mine.py", "echo_all", *fields)
    assert json.loads(done.stdout) == {
        "name": "7",
        "tags": ["a", "b"],
        "at": {"x": 3, "y": 0},
        "ratio": 2.0,
        "loud": True,
        "limit": 5,
    }
    done = run(folder, "--tasks", "mine.py", "echo_all", "--input", "@input.json", "--limit", "null", "--name=given")
    assert json.loads(done.stdout)["name"] == "given"
    assert json.loads(done.stdout)["at"] == {"x": 1, "y": 0}


def test_the_help_of_a_task_lists_its_fields(folder: Path) -> None:
    shown = run(folder, "echo_all", "--help", "--tasks", "mine.py").stdout
    assert "Return what it gets." in shown
    for line in ("--name   text; required", "--tags   a JSON array; required", "--ratio  a number; 0.5 by default"):
        assert line in shown
    assert "Run one task here" in run(folder, "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["talk", "--name", "Ada"], "--name: neither an option nor a field of the input: its fields are none"),
        (["fail"], "input.how: Field required"),
        (["echo_all", "--ratio", "much"], "--ratio: 'much' is not a number"),
        (["echo_all", "--name", "a", "--tags", "[]", "--at", "{}"], "input.at.x: Field required"),
        (["fail", "--input", "{how"], "--input: this is not JSON"),
        (["fail", "--input", "@nothing.json"], "--input @nothing.json: cannot be read"),
        (["fails"], "'fails' is not registered here; known task types:"),
        (["talk", "--tasks", "nothing.py"], "nothing.py: there is no such file or folder"),
        (["--name", "Ada"], "--name: the task type comes first"),
    ],
)
def test_bad_input_ends_with_2_and_names_the_field(folder: Path, arguments: list[str], why: str) -> None:
    done = run(folder, *arguments, LONGRUN_TASKS="mine.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def test_a_task_that_fails_ends_with_1_and_the_traceback_of_its_own_code(folder: Path) -> None:
    done = run(folder, "fail", "--how", "badly", "--tasks", "mine.py")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[0] == "Traceback (most recent call last):"
    assert 'mine.py", line 39, in fail' in done.stderr.splitlines()[1]
    assert done.stderr.endswith("longrun: FAILED: ValueError: no luck\n")
    done = run(folder, "fail", "--how", "permanent", "--tasks", "mine.py")
    assert (done.returncode, done.stderr) == (1, "longrun: FAILED: PermanentError: no such page\n")
    done = run(folder, "fail", "--how", "output", "--tasks", "mine.py")
    assert done.returncode == 1
    assert "fail returned something that does not fit its output model" in done.stderr


@pytest.mark.parametrize(
    ("name", "presses", "last"),
    [
        ("tidy", 1, "tidied up"),
        ("stubborn", 1, "left"),
        ("stubborn", 2, "left"),
        ("block", 1, "left"),
        ("block", 2, "left"),
        ("wait", 1, "left"),
        ("wait", 2, "left"),
    ],
)
def test_ctrl_c_cancels_a_task_that_looks_and_interrupts_one_that_does_not(
    folder: Path, name: str, presses: int, last: str
) -> None:
    with subprocess.Popen(
        [LONGRUN, "run", name, "--tasks", "mine.py"],
        cwd=folder,
        env=environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        assert "started" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert "press Ctrl-C again" in process.stderr.readline()
        if presses > 1:
            process.send_signal(signal.SIGINT)
        shown = process.stderr.read()
        assert process.wait() == 130
        assert last in shown
        assert shown.endswith("longrun: CANCELLED\n")
        assert process.stdout.read() == ""
