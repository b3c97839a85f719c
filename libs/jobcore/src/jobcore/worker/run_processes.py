"""The processes that the runs of this child started: each dies with its run, before the outcome of the run is stored.

This child adopts its orphans, so everything that its runs ever started is below it, and none of it is its own. When a
run ends while no other run is alive, everything below the child ends. Otherwise a process belongs to

- the run in its mark: `subprocess` starts programs with the run of the calling context in their environment, and forks
  get a named mapping (`jobcore.host.process_marks`),
- else the run that started it by `multiprocessing`, which is noted,
- else the run of the process above it,
- else, as with a thread that has not inherited the context, all runs that were alive when it started: it ends once none
  of them is.

Helpers of `multiprocessing` that serve the whole child end with the child.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from jobcore.errors import JobCancelled
from jobcore.host import clock, process_tree
from jobcore.host.process_table import ProcessEntry, ProcessTable, below, command, descendants
from jobcore.supervision.child_state import RunKey
from jobcore.telemetry import logs
from jobcore.worker import process_starts
from jobcore.worker.event_buffer import EventBuffer
from jobcore.worker.process_starts import current_run

GRACE_S: Final = 0.5
"""How long what a run left may take to end after SIGTERM, in seconds."""
OWNERS_S: Final = 0.05
"""How long code beside the run that ended, such as an event loop, may take to reap what it waits for, in seconds."""
ADOPTED_S: Final = 30.0
"""How long an orphan that ended stays unreaped while runs go on, in seconds."""
NAMED_MAX: Final = 5
TICKS: Final = os.sysconf("SC_CLK_TCK")
"""The unit of start times on Linux, per second since the start of the machine."""
START_SLACK_S: Final = 0.05

log = logs.get(__name__)

_threads: Final = ThreadPoolExecutor(4, "run-processes")
"""Where the processes of async runs are ended: not among the threads that tasks may fill."""
_live: dict[RunKey, float] = {}
"""The runs that are alive, and when they began (`clock`)."""
_pid = 0
"""The process in which `install` was called: forks inherit everything here, and end nothing."""


class StartingRun(Protocol):
    """A run whose code may start processes."""

    @property
    def key(self) -> RunKey:
        """Which run it is."""

    @property
    def buffer(self) -> EventBuffer:
        """Where its log goes."""


def install(main_pid: int) -> None:
    """Mark what runs start from now on in this process, a child of the main process with this pid."""
    global _pid
    if _pid:
        return
    _pid = os.getpid()
    process_tree.adopt_orphans()
    process_starts.mark_all(main_pid)


def begin(key: RunKey) -> None:
    """A run begins: what this context starts from now on, also in contexts copied from it, belongs to the run."""
    _live[key] = clock.now()
    current_run.set(key)


def any_started() -> bool:
    """Whether anything is below this child: what a run started, or helpers. Costs about a microsecond if nothing is."""
    return _waitid(os.P_ALL, 0, _siginfo, _WAIT_FOR_NOTHING) == 0 and os.getpid() == _pid


def end(key: RunKey) -> tuple[str, ...]:
    """The code of a run has ended: end the processes that it started and that still run; returns their commands.

    Takes a microsecond if nothing is below this child; else milliseconds, and up to GRACE_S if one ignores SIGTERM.
    """
    _live.pop(key, None)
    commands: tuple[str, ...] = ()
    give_up_at = time.monotonic() + process_tree.KILL_S
    while any_started() and not _only_helpers():
        ended = process_tree.end(_of_no_run, root=_pid, grace_s=0.0 if commands else GRACE_S)
        _reap(ended.pids)
        commands += ended.commands
        if ended.survivors:
            log.error("cannot end processes of a run", job_id=str(key.id), commands=list(ended.survivors))
        if _live or ended.survivors or time.monotonic() > give_up_at:
            break  # what is left is of other runs, or cannot be ended
    return commands


class RunProcesses:
    """What the code in a `with` block starts ends with it; unless the code was stopped, the job's log names it."""

    def __init__(self, run: StartingRun) -> None:
        self._run = run
        self._previous: RunKey | None = None

    def __enter__(self) -> None:
        self._previous = current_run.get()
        begin(self._run.key)

    async def __aenter__(self) -> None:
        self.__enter__()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        current_run.set(self._previous)
        self._tell(end(self._run.key), kind)

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        current_run.set(self._previous)
        if any_started():  # then it may take a while, and other runs go on meanwhile
            ended = asyncio.get_running_loop().run_in_executor(_threads, end, self._run.key)
            self._tell(await ended, kind)
        else:
            self._tell(end(self._run.key), kind)

    def _tell(self, commands: tuple[str, ...], kind: type[BaseException] | None) -> None:
        if commands and not (kind and issubclass(kind, JobCancelled | asyncio.CancelledError)):
            self._run.buffer.add_line("warning", left_behind(commands))


def left_behind(commands: tuple[str, ...]) -> str:
    """The line for the log of a job whose run left these processes."""
    named = ", ".join(commands[:NAMED_MAX])
    more = f" and {len(commands) - NAMED_MAX} more" if len(commands) > NAMED_MAX else ""
    count = "a process" if len(commands) == 1 else f"{len(commands)} processes"
    return f"this run left {count} running, which ended with it: {named}{more}"


_adopted_due = 0.0
_adopted: set[int] = set()


def reap_adopted() -> None:
    """From a thread, often: reap adopted orphans that ended more than ADOPTED_S seconds ago, while runs go on."""
    global _adopted_due, _adopted
    if not _pid or time.monotonic() < _adopted_due:
        return
    _adopted_due = time.monotonic() + ADOPTED_S
    process_starts.forget_reaped()
    before, _adopted = _adopted, set()

    def adopted(ended: list[ProcessEntry]) -> set[int]:
        _adopted.update({entry.pid for entry in ended} - process_starts.awaited)
        return _adopted & before

    process_tree.reap(adopted)


def _of_no_run(table: ProcessTable) -> list[ProcessEntry]:
    """The processes below this child that belong to no live run."""
    ours = descendants(table, [_pid])
    if not _live:
        return [entry for entry in ours if not _is_helper(entry.pid)]
    owners: dict[int, RunKey | None] = {}
    needed: set[int] = set()
    for entry in ours:
        owner = owners[entry.pid] = process_starts.run_of(entry.pid) or owners.get(entry.parent)
        if owner in _live or (owner is None and _began_before(entry)):
            needed |= _line(table, entry.pid)
    return [entry for entry in ours if entry.pid not in needed and not _is_helper(entry.pid)]


def _began_before(entry: ProcessEntry) -> bool:
    """Whether a live run began before this process started, so that it may be the run's."""
    if sys.platform != "linux":
        return True  # the unit of its start times is another
    return any(began <= entry.since / TICKS + START_SLACK_S for began in tuple(_live.values()))


def _line(table: ProcessTable, pid: int) -> set[int]:
    """The process and those above it, up to this child."""
    line = set()
    while pid != _pid and pid in table:
        line.add(pid)
        pid = table[pid].parent
    return line


def _only_helpers() -> bool:
    """Whether nothing but helpers is below this child."""
    pids = below(_pid).keys() - {_pid}
    return bool(pids) and all(map(_is_helper, pids))


def _is_helper(pid: int) -> bool:
    """Whether `multiprocessing` or the like has started this process once for all later calls."""
    forkserver = getattr(sys.modules.get("multiprocessing.forkserver"), "_forkserver", None)
    is_forkserver = pid == getattr(forkserver, "_forkserver_pid", None)
    return is_forkserver or process_tree.TRACKER.search(command(pid)) is not None


def _reap(pids: tuple[int, ...]) -> None:
    """Reap what was ended; whoever waits for it in another thread comes first."""
    beside = threading.current_thread() is not threading.main_thread()
    if beside:
        time.sleep(OWNERS_S)
    alone = not _live
    process_tree.reap(lambda ended: [entry.pid for entry in ended if alone or entry.pid in pids])
    if alone:
        process_starts.noted.clear()
        process_starts.awaited.clear()


_libc: Final = ctypes.PyDLL(None)
_siginfo: Final = ctypes.create_string_buffer(256)
_WAIT_FOR_NOTHING: Final = os.WEXITED | os.WNOHANG | os.WNOWAIT | (0x40000000 if sys.platform == "linux" else 0)
"""With __WALL on Linux: also for children that clone(2) made."""
_waitid: Final = _libc.waitid
"""`os.waitid` gives the interpreter's lock away: after each job the main thread would wait for another thread."""
