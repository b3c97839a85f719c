"""Task types that do to their own process what users' do: import slowly, start processes, leave things behind."""

from __future__ import annotations

import gc
import importlib
import locale
import logging
import multiprocessing
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from jobcore.tasks import JobContext, task
from tests.blocking import block_through
from tests.fault.diary import note

_of_a_library: ContextVar[str] = ContextVar("_of_a_library", default="unset")


class Nothing(BaseModel):
    """No input."""


class Folder(BaseModel):
    """Where a module is."""

    folder: str
    module: str = "slow_module"


class Pid(BaseModel):
    """Which process ran it."""

    pid: int


class Facts(BaseModel):
    """What was found."""

    facts: dict[str, Any]


class Method(BaseModel):
    """How processes are started."""

    method: str


class Words(BaseModel):
    """What to say."""

    text: str


@task("test_pid", input=Nothing, output=Pid, max_attempts=1)
def pid(_ctx: JobContext, _input: Nothing) -> Pid:
    """Say which process runs it."""
    return Pid(pid=os.getpid())


@task("test_import", input=Folder, output=Pid, max_attempts=1)
def import_module(_ctx: JobContext, input: Folder) -> Pid:
    """Import a module out of a folder."""
    sys.path.insert(0, input.folder)
    importlib.import_module(input.module)
    return Pid(pid=os.getpid())


def square(number: int) -> int:
    """Work for another process."""
    return number * number


@task("test_multiprocessing", input=Method, output=Facts, max_attempts=1)
def many_processes(_ctx: JobContext, input: Method) -> Facts:
    """Use all that the standard library has to start processes."""
    context = multiprocessing.get_context(input.method)
    process = context.Process(target=square, args=(2,))  # type: ignore[attr-defined]
    process.start()
    process.join()
    endless = context.Process(target=time.sleep, args=(600,), daemon=True)  # type: ignore[attr-defined]
    endless.start()
    endless.terminate()
    endless.join()
    with context.Pool(2) as pool:
        squares = pool.map(square, range(4))
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        more = list(executor.map(square, range(4)))
    return Facts(facts={"exit": process.exitcode, "terminated": endless.exitcode, "pool": squares, "executor": more})


@task("test_fork", input=Words, output=Facts, max_attempts=1)
def fork(_ctx: JobContext, input: Words) -> Facts:
    """Fork a process that comes out of this function as the text says; which code it ends with."""
    forked = os.fork()
    if forked == 0:
        if input.text == "raises":
            raise OSError("in the fork")
        if input.text == "exits":
            sys.exit(3)
        return Facts(facts={"code": "of nobody"})
    return Facts(facts={"code": os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1])})


@task("test_context_in_forks", input=Nothing, output=Facts, max_attempts=1)
def context_in_forks(ctx: JobContext, _input: Nothing) -> Facts:
    """Store from several processes at once what each of them says."""
    forking = multiprocessing.get_context("fork")
    processes = [forking.Process(target=_store_often, args=(ctx, number)) for number in range(3)]
    for process in processes:
        process.start()
    _store_often(ctx, len(processes))
    for process in processes:
        process.join()
    return Facts(facts={"codes": [process.exitcode for process in processes]})


def _store_often(ctx: JobContext, number: int) -> None:
    for _ in range(20):
        ctx.checkpoint({"number": number})


@task("test_other_user", input=Nothing, output=Pid, max_attempts=1)
def other_user(_ctx: JobContext, _input: Nothing) -> Pid:
    """Become somebody else for good."""
    os.setegid(65534)
    return Pid(pid=os.getpid())


def _state() -> dict[str, Any]:
    mask = os.umask(0o022)
    os.umask(mask)
    return {
        "cwd": os.getcwd(),
        "environ": sorted(os.environ.items()),
        "tz": time.tzname[0],
        "umask": mask,
        "locale": locale.setlocale(locale.LC_ALL),
        "handlers": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals()) if number < 32],
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "timers": [signal.getitimer(timer) for timer in (signal.ITIMER_REAL, signal.ITIMER_PROF)],
        "path": sys.path[:],
        "argv": sys.argv[:],
        "excepthook": str(threading.excepthook),
        "stdout": type(sys.stdout).__name__,
        "timeout": socket.getdefaulttimeout(),
        "recursion": sys.getrecursionlimit(),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
        "collects": gc.isenabled(),
        "logging": (logging.root.level, logging.root.manager.disable, [str(each) for each in logging.root.handlers]),
        "context": _of_a_library.get(),
    }


@task("test_state", input=Nothing, output=Facts, max_attempts=1)
def state(_ctx: JobContext, _input: Nothing) -> Facts:
    """Say how this process is."""
    return Facts(facts={**_state(), "pid": os.getpid()})


@task("test_block_in_c", input=Folder, output=Pid, max_attempts=1)
def block_in_c(ctx: JobContext, input: Folder) -> Pid:
    """Block where the next three signals arrive too early for their handlers."""
    note(input.folder, ctx.job_id, ctx.fence)
    block_through(signals=3)
    return Pid(pid=os.getpid())


@task("test_mess", input=Folder, output=Pid, max_attempts=1)
def mess(_ctx: JobContext, input: Folder) -> Pid:
    """Leave everything otherwise than it was."""
    Path(input.folder, "gone").mkdir()
    os.chdir(Path(input.folder, "gone"))
    Path(input.folder, "gone").rmdir()
    os.environ["TZ"] = "Asia/Tokyo"
    os.environ["LEFT"] = "over"
    os.environ.pop("PATH")
    time.tzset()
    os.umask(0o777)
    locale.setlocale(locale.LC_ALL, "C.UTF-8" if locale.setlocale(locale.LC_ALL) != "C.UTF-8" else "C")
    for number in (signal.SIGUSR2, signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGTERM})
    signal.alarm(1)
    signal.setitimer(signal.ITIMER_PROF, 1)
    sys.path.insert(0, "/left")
    sys.argv.append("--left")
    threading.excepthook = sys.__excepthook__  # type: ignore[assignment]
    sys.stdout = sys.__stdout__
    socket.setdefaulttimeout(0.001)
    sys.setrecursionlimit(500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    gc.disable()
    logging.disable(logging.CRITICAL)
    logging.basicConfig(level=logging.CRITICAL, force=True)
    _of_a_library.set("left")
    return Pid(pid=os.getpid())


class Endless(BaseModel):
    """Where to say that it runs."""

    folder: str


@task("test_default_signal", input=Endless, output=Pid, max_attempts=1)
def default_signal(ctx: JobContext, input: Endless) -> Pid:
    """Run for ever, with the signal that stops tasks at its default: it ends the process."""
    signal.signal(signal.SIGUSR2, signal.SIG_DFL)
    Path(input.folder, ctx.job_id).write_text(f"{os.getpid()} {ctx.fence} {time.monotonic()}\n")
    while True:
        time.sleep(0.05)


@task("test_sigint_of_program", input=Nothing, output=Facts, max_attempts=1)
def sigint_of_program(_ctx: JobContext, _input: Nothing) -> Facts:
    """Start a program and say which signals it ignores."""
    said = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
    ignored = next(int(line.split()[1], 16) for line in said.splitlines() if line.startswith("SigIgn"))
    return Facts(facts={"ignored": [number for number in range(1, 32) if ignored >> (number - 1) & 1]})


@task("test_say", input=Words, output=Pid, max_attempts=1)
def say(_ctx: JobContext, input: Words) -> Pid:
    """Print and log."""
    print("printed", input.text)
    print("printed to stderr", input.text, file=sys.stderr)
    print("begun", end="")
    logging.getLogger("users.library").warning("logged %s", input.text)
    warnings.warn(f"warned of {input.text}", stacklevel=1)
    with ThreadPoolExecutor(1) as threads:
        threads.submit(print, "printed by a thread").result()
        threads.submit(logging.getLogger("users.library").warning, "logged by a thread").result()
    return Pid(pid=os.getpid())
