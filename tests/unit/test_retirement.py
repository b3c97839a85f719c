"""A child's signals from its first moment on, and those of what it forks: real signals to real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from types import FrameType

import pytest

from jobcore.worker.retirement import ENDING, HANDLED, Retirement, blocked_signals
from tests.unit.lone_forks import blocked

MAIN_HANDLED = 77
ROUNDS = 50
PATIENCE_S = 20


@pytest.mark.parametrize(
    ("before", "works"),
    [
        ("", "sum(itertools.repeat(0))  # C code that never lets go of the interpreter"),
        ("signal.signal(signal.SIGUSR1, signal.signal(signal.SIGUSR1, signal.SIG_IGN))", "signal.pause()"),
    ],
    ids=["in C", "after a task had a handler of its own"],
)
def test_a_child_prints_its_stacks_whatever_it_does(before: str, works: str) -> None:
    code = f"""
import itertools, signal
from jobcore.worker.retirement import Retirement

signal.alarm({PATIENCE_S})
Retirement().install()
{before}
print("ready", flush=True)
{works}
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout
        assert child.stderr
        assert child.stdout.readline() == "ready\n"
        said = ""
        while "most recent call first" not in said and child.poll() is None:
            child.send_signal(signal.SIGUSR1)
            said = child.stderr.readline()
        child.kill()
    assert "most recent call first" in said


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_between_the_fork_and_the_childs_own_handlers_is_the_childs(number: signal.Signals) -> None:
    before = signal.signal(number, lambda *_: os._exit(MAIN_HANDLED))
    try:
        ready, go = os.pipe()
        with blocked_signals():
            child = os.fork()
            if child == 0:
                os.read(ready, 1)
                here = Retirement()
                here.install()
                os._exit(0 if here.why == number.name else 1)
        os.kill(child, number)
        os.write(go, b"!")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        signal.signal(number, before)


def test_the_main_process_gets_what_came_while_it_forked() -> None:
    def holds_a_signal_back() -> None:
        heard: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _frame: heard.append(number))
        with blocked_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            assert heard == []
        assert heard == [signal.SIGTERM]

    assert in_a_child(holds_a_signal_back) == 0


def test_what_a_child_forks_is_ended_by_a_signal_at_any_moment() -> None:
    def terminates_its_own() -> None:
        for _ in range(ROUNDS):
            forked = os.fork()
            if forked == 0:
                signal.alarm(PATIENCE_S)
                signal.pause()
            os.kill(forked, signal.SIGTERM)
            assert os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) == -signal.SIGTERM

    assert in_a_child(terminates_its_own) == 0


def test_what_a_child_forks_keeps_the_handlers_that_the_task_set() -> None:
    def asks_for_the_handler() -> None:
        def of_the_task(_number: int, _frame: FrameType | None) -> None:
            os._exit(5)

        signal.signal(signal.SIGTERM, of_the_task)
        forked = os.fork()
        if forked == 0:
            signal.alarm(PATIENCE_S)
            signal.pause()
        os.kill(forked, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) == 5

    assert in_a_child(asks_for_the_handler) == 0


def in_a_child(does: Callable[[], None]) -> int:
    """Run it in a process that has a child's signals, in its main thread alone; its exit code."""
    with blocked(*HANDLED):
        child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(PATIENCE_S)
            Retirement().install()
            does()
            code = 0
        except BaseException as error:
            print(repr(error), file=sys.stderr)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
