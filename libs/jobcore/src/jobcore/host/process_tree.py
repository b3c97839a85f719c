"""Ends processes together with everything below them, so that nothing gets away.

    SIGTERM   to all, if they get a grace, then wait for their ends
    freeze    SIGSTOP to all, and to those that were started meanwhile, until none is new: a frozen process forks none
    kill      SIGKILL to all
    again     until nothing is left, or the time is over

A process whose parent dies gets another parent, so whatever was found once stays on the list. With `adopt_orphans` the
new parent is this process, so what is below it never leaves its tree, whether or not it calls setsid or forks twice.

Processes that replace each other may be gone each time before they are read. But they leave their dead, until somebody
reaps them, and the dead name the group that is killed at once.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from jobcore.host.process_table import ProcessEntry, ProcessTable, below, command, descendants, snapshot
from jobcore.host.processes import Process

KILL_S: Final = 5.0
"""How long processes may take to die of SIGKILL, in seconds. Those that take longer wait for a device in the kernel,
and never run code of their own again."""
LAST_S: Final = 0.2  # for a process that kills itself
EMPTY_LOOKS: Final = 2  # one may miss processes that replace each other meanwhile
DEATH_POLL_S, GRACE_POLL_S = 0.002, 0.02
COMMAND_MAX: Final = 100
_PR_SET_CHILD_SUBREAPER: Final = 36
TRACKER: Final = re.compile(r"\b\w+_tracker import main\b")
"""Matches the command of the helper of multiprocessing, billiard and loky that frees shared memory once all processes
that use it have ended. Then it ends by itself; if it were killed, nobody would free the memory."""
TRACKER_S: Final = 1.0

Select = Callable[[ProcessTable], Iterable[ProcessEntry]]
"""Finds the processes that must end; what is below them ends too."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What was ended: pids and commands, and the commands that still run because this user may not signal them."""

    pids: tuple[int, ...] = ()
    commands: tuple[str, ...] = ()
    survivors: tuple[str, ...] = ()


@dataclass
class _Doomed:
    """The processes that must end, as far as they are known; `commands` has all that were ever found alive."""

    select: Select
    root: int | None
    commands: dict[tuple[int, int], str] = field(default_factory=dict)
    dead: list[ProcessEntry] = field(default_factory=list)
    """Those that had ended when they were looked for last, and wait to be reaped."""

    def alive(self) -> list[ProcessEntry]:
        """Those that are alive now: quickly as long as there are some, so that nothing can start others meanwhile."""
        quickly = [] if self.root is None else self._alive_in(below(self.root))
        return quickly or self._alive_in(snapshot())

    def _alive_in(self, table: ProcessTable) -> list[ProcessEntry]:
        roots = {entry.pid: entry for entry in self.select(table)}
        for pid, since in self.commands:
            if (entry := table.get(pid)) and entry.since == since:
                roots.setdefault(pid, entry)
        found = roots | {entry.pid: entry for entry in descendants(table, roots)}
        alive = [entry for entry in found.values() if not entry.ended and entry.pid != os.getpid()]
        self.dead = [entry for entry in found.values() if entry.ended]
        for entry in alive:
            if _key(entry) not in self.commands:
                self.commands[_key(entry)] = command(entry.pid)
        return alive

    def without_trackers(self) -> list[ProcessEntry]:
        """Those that are alive now and do not end by themselves."""
        return [entry for entry in self.alive() if not TRACKER.search(self.commands[_key(entry)])]

    def ended(self, survivors: Sequence[ProcessEntry] = ()) -> Ended:
        """What was ended."""
        named = {key: _short(command) for key, command in self.commands.items() if not TRACKER.search(command)}
        return Ended(
            tuple(pid for pid, _ in self.commands),
            tuple(named.values()),
            tuple(named[_key(entry)] for entry in survivors if _key(entry) in named),
        )


def end(select: Select, *, root: int | None = None, grace_s: float = 0.0, within_s: float = KILL_S) -> Ended:
    """End the selected processes and all below them; returns once they are dead, or after about `within_s` seconds.

    With a grace they first get SIGTERM, and SIGKILL if they still run after so many seconds. Never ends this process.
    It is quicker if all of them are below `root`.
    """
    doomed = _Doomed(select, root)
    if grace_s:
        _ask(doomed, grace_s)
    survivors = _kill(doomed, doomed.without_trackers, within_s)
    if not survivors and doomed.alive():
        _await_end(doomed, TRACKER_S)
        survivors = _kill(doomed, doomed.alive, within_s)
    return doomed.ended(survivors)


def end_tree(process: Process, *, grace_s: float = 0.0, within_s: float = KILL_S) -> Ended:
    """End a process and everything below it. It ends last, because till then it may adopt what is below it."""

    def itself(table: ProcessTable) -> list[ProcessEntry]:
        return [entry] if (entry := table.get(process.pid)) and entry.since == process.since else []

    def below_it(table: ProcessTable) -> list[ProcessEntry]:
        return descendants(table, [process.pid]) if itself(table) else []

    doomed = _Doomed(itself, process.pid)
    if grace_s:
        _ask(doomed, grace_s)
    doomed.alive()
    with suppress(PermissionError):
        process.signal(signal.SIGSTOP)
    rest = end(below_it, root=process.pid, within_s=within_s)
    survivors = _kill(doomed, doomed.alive, within_s)
    ended = doomed.ended(survivors)
    return Ended((*ended.pids, *rest.pids), ended.commands, (*ended.survivors, *rest.survivors))


def kill_child(pid: int, *, within_s: float = KILL_S) -> None:
    """Kill a child of this process and everything below it; does nothing if the pid is not that of a child."""
    entry = snapshot().get(pid)
    if entry and entry.parent == os.getpid():
        process = Process(pid, entry.since)
        end_tree(process, within_s=within_s)
        process.close()


def end_rest(*, within_s: float = KILL_S) -> None:
    """Kill everything below this process."""
    end(lambda table: descendants(table, [os.getpid()]), root=os.getpid(), within_s=within_s)


def kill_this_process() -> None:
    """Kill everything below this process, as far as it dies at once, and then this process."""
    try:
        end_rest(within_s=LAST_S)
    finally:
        os.kill(os.getpid(), signal.SIGKILL)


def adopt_orphans() -> bool:
    """Become the parent of every descendant whose parent ends (PR_SET_CHILD_SUBREAPER); False if the system cannot.

    Forks do not inherit this. Somebody has to `reap` what is adopted.
    """
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1) == 0)


def reap(choose: Callable[[list[ProcessEntry]], Iterable[int]]) -> None:
    """Reap those children of this process that have ended and that `choose` names; the others keep their exit codes."""
    if not _has_ended_child():
        return
    for pid in choose([entry for entry in snapshot().values() if entry.parent == os.getpid() and entry.ended]):
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)


def _has_ended_child() -> bool:
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def _ask(doomed: _Doomed, grace_s: float) -> None:
    """Send SIGTERM to each, and wait for their ends."""
    until = time.monotonic() + grace_s
    asked: set[tuple[int, int]] = set()
    while (alive := doomed.without_trackers()) and time.monotonic() < until:
        new = [entry for entry in alive if _key(entry) not in asked]
        _signal(new, signal.SIGTERM)
        _signal(new, signal.SIGCONT)  # a stopped process gets SIGTERM only when it continues
        asked.update(map(_key, new))
        time.sleep(GRACE_POLL_S)


def _await_end(doomed: _Doomed, seconds: float) -> None:
    until = time.monotonic() + seconds
    while doomed.alive() and time.monotonic() < until:
        time.sleep(GRACE_POLL_S)


def _kill(doomed: _Doomed, find: Callable[[], list[ProcessEntry]], within_s: float) -> list[ProcessEntry]:
    """Freeze and kill until nothing is found; returns what is left after so many seconds."""
    give_up_at = time.monotonic() + within_s
    empty = 0
    while empty < EMPTY_LOOKS:
        alive = find()
        _kill_sessions(doomed.dead)
        if alive:
            alive = _frozen(alive, find, give_up_at)
            _kill_sessions(alive)
            forbidden = _signal(alive, signal.SIGKILL)
            if time.monotonic() > give_up_at or len(forbidden) == len(alive):
                return find()
        empty = 0 if alive else empty + 1
        time.sleep(DEATH_POLL_S)
    return []


def _frozen(alive: list[ProcessEntry], find: Callable[[], list[ProcessEntry]], give_up_at: float) -> list[ProcessEntry]:
    """Freeze these, and what they start meanwhile; returns all of them."""
    frozen: set[tuple[int, int]] = set()
    while new := [entry for entry in alive if _key(entry) not in frozen]:
        _signal(new, signal.SIGSTOP)
        frozen.update(map(_key, new))
        alive = find()
        if time.monotonic() > give_up_at:
            break
    return alive


def _kill_sessions(members: Iterable[ProcessEntry]) -> None:
    """Kill the groups of sessions that were begun below us, each at once: no fork in progress gets away.

    Whoever calls setsid(2) has everything in its session below it, so a group of such a session has no other members.
    """
    ours = os.getsid(0)
    for group in {entry.group for entry in members if entry.session not in (0, ours)}:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def _signal(entries: Iterable[ProcessEntry], number: signal.Signals) -> list[ProcessEntry]:
    """Send a signal; returns the processes that this user may not signal."""
    forbidden = []
    for entry in entries:
        process = Process(entry.pid, entry.since)
        try:
            with suppress(ProcessLookupError):
                process.signal(number)
        except PermissionError:
            forbidden.append(entry)
        finally:
            process.close()
    return forbidden


def _key(entry: ProcessEntry) -> tuple[int, int]:
    return entry.pid, entry.since


def _short(text: str) -> str:
    return f"{text[:COMMAND_MAX]}…" if len(text) > COMMAND_MAX else text
