"""The processes below a worker's children: whatever a run started dies with its child, before its jobs are released.

A child that is killed on purpose is frozen first, and everything below it is killed with it: it adopts its orphans, so
nothing has left its tree. After a death that nobody asked for, what it left is found by

- its mark, which programs and forks inherit (`jobcore.host.process_marks`),
- its process group, which has the child's pid as its number,
- its new parent: the main process adopts the orphans of its children (PR_SET_CHILD_SUBREAPER).

After the death of the main process only marks and groups are left. What has neither (a program that was started with
an empty environment in a session of its own) is lost then.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from jobcore.host import process_marks, process_tree
from jobcore.host.process_table import ProcessEntry, ProcessTable
from jobcore.host.process_tree import Ended
from jobcore.host.processes import Process, started
from jobcore.supervision.child_token import ChildToken, namespace
from jobcore.telemetry import logs

KILL_S: Final = 0.5
"""How long the supervisor waits for processes to die of SIGKILL, in seconds, before it does what cannot wait."""
ATTEMPTS: Final = 4
"""How often it waits so long. What is left then waits for a device in the kernel, or is another user's."""
NAMED_MAX: Final = 10

IsTheirs = Callable[[ChildToken], bool]

log = logs.get(__name__)


class ChildProcesses:
    """Ends what the children of one main process have started.

    It takes milliseconds. Where processes do not die, or the machine is slow, it calls `meanwhile` every 3 KILL_S at
    the latest: the supervisor has a lease to renew.
    """

    def __init__(self, main: Process, meanwhile: Callable[[], object] = lambda: None) -> None:
        self._main = main
        self._meanwhile = meanwhile

    def kill(self, child: Process) -> None:
        """Kill a child and everything below it."""
        ended = self._again(lambda: process_tree.end_tree(child, within_s=KILL_S))
        if len(ended.pids) > 1:
            _warn(ended, "killed a child and the processes of its runs", pid=child.pid)

    def end_leftovers(self, dead: Sequence[Process]) -> None:
        """Kill what these children left when they died."""
        children = {(child.pid, child.since) for child in dead}
        if children:
            self._end(lambda token: (token.pid, token.since) in children, dead, since=min(each.since for each in dead))

    def end_all(self, dead: Sequence[Process]) -> None:
        """Kill what any child of this worker left; `dead` are those that have just died."""
        main = self._main.pid, self._main.since
        self._end(lambda token: (token.main, token.main_since) == main, dead, since=self._main.since)

    def _end(self, is_theirs: IsTheirs, dead: Sequence[Process], since: int) -> None:
        groups = {child.pid for child in dead}
        has_mark = _remembered(lambda entry: _has_mark(entry, is_theirs))

        def select(table: ProcessTable) -> Iterator[ProcessEntry]:
            main = table.get(self._main.pid)
            for entry in table.values():
                if entry.since < since or entry.pid in (os.getpid(), self._main.pid):
                    continue
                if entry.group in groups or _is_orphan(entry, main) or has_mark(entry):
                    yield entry

        # while the main process lives, it has adopted them
        root = None if self._main.exited() else self._main.pid
        ended = self._again(lambda: process_tree.end(select, root=root, within_s=KILL_S))
        _warn(ended, "ended processes that a dead child left", pids=sorted(groups))

    def _again(self, end: Callable[[], Ended]) -> Ended:
        """End processes, and again while some are left."""
        first = last = end()
        for _ in range(ATTEMPTS - 1):
            self._meanwhile()
            if not last.survivors:
                break
            last = end()
        return replace(first, survivors=last.survivors)


def end_leftovers_of_dead_workers() -> None:
    """Kill what workers that are dead as a whole left on this machine, in the pid namespace of this process."""
    own = process_marks.of(os.getpid()).get(process_marks.CHILD)
    dead: dict[tuple[int, int], bool] = {}

    def is_dead(token: ChildToken) -> bool:
        main = token.main, token.main_since
        if main not in dead:
            dead[main] = token.namespace == namespace() and str(token) != own and started(token.main) != main[1]
        return dead[main]

    has_mark = _remembered(lambda entry: _has_mark(entry, is_dead))

    def select(table: ProcessTable) -> Iterator[ProcessEntry]:
        return (entry for entry in table.values() if has_mark(entry))

    _warn(process_tree.end(select), "ended processes that a dead worker left")


def _has_mark(entry: ProcessEntry, is_theirs: IsTheirs) -> bool:
    token = ChildToken.parse(process_marks.of(entry.pid).get(process_marks.CHILD))
    return token is not None and is_theirs(token)


def _remembered(function: Callable[[ProcessEntry], bool]) -> Callable[[ProcessEntry], bool]:
    """The same function, reading each process once: processes that replace each other are caught only by being fast."""
    known: dict[tuple[int, int], bool] = {}

    def remembered(entry: ProcessEntry) -> bool:
        key = entry.pid, entry.since
        if key not in known:
            known[key] = function(entry)
        return known[key]

    return remembered


def _is_orphan(entry: ProcessEntry, main: ProcessEntry | None) -> bool:
    """True for a process that the main process has adopted, not forked.

    What it forks is in its session, in its own group or, like its children, at the head of another, and runs the same
    program. So a process that it starts itself (`uname` for telemetry) is no orphan.
    """
    if main is None or entry.parent != main.pid or entry.group == main.group:
        return False
    is_child = entry.group == entry.pid and entry.session == main.session
    return not (is_child and process_marks.is_same_program(entry.pid, main.pid))


def _warn(ended: Ended, what: str, **about: object) -> None:
    if ended.commands:
        log.warning(what, **about, count=len(ended.commands), commands=list(ended.commands[:NAMED_MAX]))
    if ended.survivors:
        log.error("cannot end processes", **about, commands=list(ended.survivors[:NAMED_MAX]))
