"""Whose a new process of this child is: what runs start is marked with their run, or noted here.

`subprocess`, which asyncio uses too, and `multiprocessing` are wrapped, and forks have a hook. What is started in
another way, such as by a native library, inherits only the mark of this child.
"""

from __future__ import annotations

import functools
import inspect
import os
import subprocess
from collections.abc import Mapping
from contextvars import ContextVar
from multiprocessing import popen_fork
from typing import Any, Final

from jobcore.host import process_marks
from jobcore.supervision.child_state import RunKey
from jobcore.supervision.child_token import ChildToken

current_run: Final[ContextVar[RunKey | None]] = ContextVar("longrun_run", default=None)
"""The run that the code of this context belongs to."""
noted: Final[dict[int, RunKey]] = {}
"""The run of each process that `multiprocessing` started."""
awaited: Final[set[int]] = set()
"""Pids whose exit codes code of this process may still ask for."""


def mark_all(main_pid: int) -> None:
    """Mark what this process, a child of the main process with this pid, starts from now on."""
    process_marks.put(process_marks.CHILD, str(ChildToken.of_this_process(main_pid)))
    _wrap_subprocess()
    _wrap_multiprocessing()
    os.register_at_fork(after_in_child=_mark_fork)


def run_of(pid: int) -> RunKey | None:
    """The run that this process was started by; None if nothing says so."""
    return RunKey.parse(process_marks.of(pid).get(process_marks.RUN)) or noted.get(pid)


def forget_reaped() -> None:
    """Forget the pids of processes that are gone."""
    for pid in (*awaited, *noted):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            awaited.discard(pid)
            noted.pop(pid, None)
        except PermissionError:  # it changed its user
            continue


def _wrap_subprocess() -> None:
    """Wrap `subprocess.Popen`, which asyncio uses too, to add the marks to the environment of what it starts."""
    original = subprocess.Popen.__init__
    env_at = list(inspect.signature(original).parameters).index("env") - 1

    @functools.wraps(original)
    def started(self: Any, *args: Any, **kwargs: Any) -> None:
        if len(args) > env_at:
            args = (*args[:env_at], _with_marks(args[env_at]), *args[env_at + 1 :])
        else:
            kwargs["env"] = _with_marks(kwargs.get("env"))
        original(self, *args, **kwargs)
        awaited.add(self.pid)

    setattr(subprocess.Popen, "__init__", started)  # noqa: B010 (mypy accepts no assignment to a method)


def _with_marks(env: Any) -> Any:
    run = current_run.get()
    if env is None and run is None:
        return None  # it inherits the mark of this child
    if not isinstance(env, Mapping | None):
        return env  # for `subprocess` to refuse
    marks = {process_marks.CHILD: os.environ.get(process_marks.CHILD, "")}
    if run is not None:
        marks[process_marks.RUN] = str(run)
    return {**(os.environ if env is None else env), **marks}


def _wrap_multiprocessing() -> None:
    """Wrap `multiprocessing`, whose three ways to start a process have one class in common."""
    original = popen_fork.Popen.__init__

    @functools.wraps(original)
    def started(self: Any, process: Any) -> None:
        original(self, process)
        awaited.add(self.pid)
        if (run := current_run.get()) is not None:
            noted[self.pid] = run

    setattr(popen_fork.Popen, "__init__", started)  # noqa: B010


def _mark_fork() -> None:
    if (run := current_run.get()) is not None:
        process_marks.put(process_marks.RUN, str(run))
