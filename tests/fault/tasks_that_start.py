"""A task type that starts processes and leaves them, in every way in which a process can get away from its starter.

Each process that is left writes its pid and the time into a file, again and again for as long as it lives. So a test
can prove that it was dead before something else happened.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from jobcore.tasks import AsyncContext, JobContext, task
from tests.fault.signs import SIGN_S, write_signs

PATIENCE_S: Final = 60.0
SHELL: Final = 'while :; do echo "$BASHPID $EPOCHREALTIME" >> "$0"; sleep 0.05; done'
"""A shell that writes signs of life; its file is argument 0."""


class Start(BaseModel):
    """Which processes to start, where they write, and how the run ends: returns, raises, polite, deaf, dies, exits."""

    folder: str
    kinds: list[str]
    ending: str = "returns"
    endings_after: list[str] = ["returns"]
    """How later runs end; they start nothing."""


class Seen(BaseModel):
    """What a run saw: which processes of earlier runs were alive when it began, and when that was."""

    alive: list[int]
    began_at: float
    fence: int


def _shell(path: str) -> None:
    subprocess.Popen(["bash", "-c", f"({SHELL}) & {SHELL}", path])


def _ignores_sigterm(path: str) -> None:
    subprocess.Popen(["bash", "-c", f"trap '' TERM HUP INT; ({SHELL}) & {SHELL}", path])


def _daemon(path: str) -> None:
    subprocess.run(["bash", "-c", f"(setsid nohup bash -c '{SHELL}' \"$0\" >/dev/null 2>&1 &)", path], check=True)


def _bare(path: str) -> None:
    """A daemon without an environment: nothing but its parent says where it comes from."""
    subprocess.run(["bash", "-c", f"(env -i setsid /bin/bash -c '{SHELL}' \"$0\" &)", path], check=True)


def _empty_environment(path: str) -> None:
    subprocess.Popen(["/bin/bash", "-c", SHELL, path], env={}, start_new_session=True)


def _system(path: str) -> None:
    os.system(f"setsid bash -c '{SHELL}' '{path}' &")


def _multiprocessing(method: str) -> Callable[[str], None]:
    def start(path: str) -> None:
        process = multiprocessing.get_context(method).Process(target=write_signs, args=(path,))  # type: ignore[attr-defined]
        process.start()
        Path(path).touch()

    return start


def _fork(path: str) -> None:
    if os.fork() == 0:
        write_signs(path)


def _forked_daemon(path: str) -> None:
    """Fork twice and leave the session, as python-daemon does."""
    first = os.fork()
    if first == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            write_signs(path)
        os._exit(0)
    os.waitpid(first, 0)


def _stopped(path: str) -> None:
    """A process that is frozen: a signal reaches it only when it continues."""
    process = subprocess.Popen(["bash", "-c", SHELL, path])
    while not pids_of(Path(path)):  # not only made, but written
        time.sleep(SIGN_S)
    process.send_signal(signal.SIGSTOP)


def _thread(path: str) -> None:
    """A program that a thread starts, which inherits nothing from the run's context."""
    thread = threading.Thread(target=_shell, args=(path,))
    thread.start()
    thread.join()


def _forks_on(path: str) -> None:
    """Processes that replace themselves all the time: each lives for some milliseconds."""
    again = f'echo "$BASHPID $EPOCHREALTIME" >> "{path}"; sleep 0.005; bash -c "$0" "$0" & disown; exit'
    subprocess.Popen(["setsid", "bash", "-c", again, again])


def _leaderless(path: str) -> None:
    """A process whose main thread has ended, so that it looks like one that has ended."""
    code = (
        "import ctypes, sys, threading\nfrom tests.fault.signs import write_signs\n"
        "threading.Thread(target=write_signs, args=(sys.argv[1],)).start()\nctypes.CDLL(None).pthread_exit(None)"
    )
    subprocess.Popen([sys.executable, "-c", code, path])


KINDS: Final[dict[str, Callable[[str], None]]] = {
    "shell": _shell,
    "ignores-sigterm": _ignores_sigterm,
    "daemon": _daemon,
    "bare": _bare,
    "empty-environment": _empty_environment,
    "system": _system,
    "mp-fork": _multiprocessing("fork"),
    "mp-spawn": _multiprocessing("spawn"),
    "mp-forkserver": _multiprocessing("forkserver"),
    "fork": _fork,
    "forked-daemon": _forked_daemon,
    "stopped": _stopped,
    "thread": _thread,
    "leaderless": _leaderless,
    "forks-on": _forks_on,  # the last one: it takes half a core from those that are starting
}


@task("test_leave", input=Start, output=Seen, max_attempts=2, backoff_s=0.1, jitter=0)
def start(ctx: JobContext, input: Start) -> Seen:
    """Start processes, and end without having ended them."""
    files = sorted(Path(input.folder).glob(f"{ctx.job_id}.*.signs"))
    seen = Seen(alive=sorted(alive(files)), began_at=time.time(), fence=ctx.fence)
    if not files:
        for kind in input.kinds:
            KINDS[kind](str(Path(input.folder, f"{ctx.job_id}.{kind}.signs")))
        _await_signs(ctx, input)
    with Path(input.folder, ctx.job_id).open("a") as diary:
        diary.write(f"{os.getpid()} {ctx.fence} {time.monotonic()}\n")
    _end(ctx, input.endings_after[0] if files else input.ending)
    return seen


def _await_signs(ctx: JobContext, input: Start) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    for kind in input.kinds:
        while not pids_of(Path(input.folder, f"{ctx.job_id}.{kind}.signs")):
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"{kind} did not start")
            time.sleep(SIGN_S)


def _end(ctx: JobContext, ending: str) -> None:
    if ending == "raises":
        raise RuntimeError("with processes around")
    if ending == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if ending == "exits":
        os._exit(3)
    while ending in ("polite", "deaf"):
        try:
            time.sleep(SIGN_S)
            if ending == "polite":
                ctx.raise_if_cancelled()
        except BaseException:
            if ending == "polite":
                raise


def pids_of(path: Path) -> set[int]:
    """The processes that wrote into this file."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {int(line.split()[0]) for line in lines if len(line.split()) == 2}


def alive(files: list[Path]) -> set[int]:
    """Which processes that wrote into these files are alive; one that only waits to be reaped is not."""
    return {pid for path in files for pid in pids_of(path) if _runs(pid)}


def _runs(pid: int) -> bool:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] not in "ZX" or int(fields[17]) > 1


@task("test_leave_in_thread", input=Start, output=Seen, max_attempts=1, lane="thread")
def start_in_thread(ctx: JobContext, input: Start) -> Seen:
    """`start`, in a thread beside other runs."""
    return start(ctx, input)


@task("test_leave_async", input=Start, output=Seen, max_attempts=1)
async def start_async(ctx: AsyncContext, input: Start) -> Seen:
    """`start`, on the event loop beside other runs."""
    for kind in input.kinds:
        KINDS[kind](str(Path(input.folder, f"{ctx.job_id}.{kind}.signs")))
    await ctx.run(["bash", "-c", 'until [ -s "$0" ]; do sleep 0.05; done', signs_of(ctx.job_id, input, -1)])
    with Path(input.folder, ctx.job_id).open("a") as diary:
        diary.write(f"{os.getpid()} {ctx.fence} {time.monotonic()}\n")
    if input.ending == "polite":
        await ctx.run(["bash", "-c", SHELL, str(Path(input.folder, f"{ctx.job_id}.program.signs"))])
    return Seen(alive=[], began_at=0, fence=ctx.fence)


def signs_of(job_id: str, input: Start, number: int) -> str:
    """The file into which the processes of this kind write."""
    return str(Path(input.folder, f"{job_id}.{input.kinds[number]}.signs"))
