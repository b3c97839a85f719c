"""All processes of this machine that its user can see, with their parents: a snapshot.

Linux: /proc (proc(5)), which a process may always read for its own user. Other systems: `ps`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

COMMAND_MAX: Final = 4096
"""The most bytes of a command."""
LOOKS: Final = 3
"""A process may start another and end before it is read. Another look finds that one; it reads only what is new."""
READ_MAX: Final = 2**20
_PROC: Final = "/proc"
# indexes after the name in /proc/PID/stat (proc(5), field minus 3)
_STATE: Final = 0
_PARENT: Final = 1
_GROUP: Final = 2
_SESSION: Final = 3
_THREADS: Final = 17
_STARTED: Final = 19


class ProcessEntry(NamedTuple):
    """One process. `since` is when it started, in the unit of `jobcore.host.processes.started`."""

    pid: int
    parent: int
    group: int
    session: int
    """0 if the system does not say."""
    since: int
    ended: bool
    """Whether it only waits for its parent to ask for its exit code."""


ProcessTable = dict[int, ProcessEntry]


def snapshot() -> ProcessTable:
    """The processes of this machine by pid."""
    return {entry.pid: entry for entry in (_by_proc() if sys.platform == "linux" else _by_ps())}


def below(root: int) -> ProcessTable:
    """A process and those below it, in much less time than a `snapshot`; none where the system has no such list.

    While one of them ends, others may be missed. Reads /proc/PID/task/TID/children (CONFIG_PROC_CHILDREN).
    """
    table: ProcessTable = {}
    waiting = [str(root)]
    while waiting:
        if entry := _entry(name := waiting.pop()):
            table[entry.pid] = entry
            waiting += [child for child in _children(name) if int(child) not in table]
    return table


def descendants(table: ProcessTable, roots: Iterable[int]) -> list[ProcessEntry]:
    """The processes below these, without them; parents come before their children."""
    children: dict[int, list[ProcessEntry]] = {}
    for entry in table.values():
        children.setdefault(entry.parent, []).append(entry)
    below: list[ProcessEntry] = []
    seen = set(roots)
    waiting = list(seen)
    while waiting:
        found = [entry for entry in children.get(waiting.pop(), ()) if entry.pid not in seen]
        seen.update(entry.pid for entry in found)
        waiting += [entry.pid for entry in found]
        below += found
    return below


def command(pid: int) -> str:
    """What the process runs, on one line as a user would type it; "?" if it cannot be read."""
    if sys.platform == "linux":
        words = _read(f"{pid}/cmdline").rstrip(b"\0").replace(b"\0", b" ")
    else:
        words = subprocess.run(["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, check=False).stdout
    return " ".join(words[:COMMAND_MAX].decode(errors="replace").split()) or "?"


def _by_proc() -> Iterator[ProcessEntry]:
    seen: set[str] = set()
    for _ in range(LOOKS):
        new = {name for name in os.listdir(_PROC) if name.isdigit()} - seen
        seen |= new
        yield from (entry for name in new if (entry := _entry(name)))


def _children(name: str) -> list[str]:
    children: list[str] = []
    try:
        for thread in os.listdir(f"{_PROC}/{name}/task"):
            children += _read(f"{name}/task/{thread}/children").decode().split()
    except OSError:  # it has ended, or this is not Linux
        return []
    return children


def _entry(name: str) -> ProcessEntry | None:
    fields = _read(f"{name}/stat").rpartition(b")")[2].split()
    if not fields:
        return None
    # the main thread of a process may end before its other threads: it looks dead, and its threads continue
    ended = fields[_STATE] in b"ZX" and int(fields[_THREADS]) <= 1
    parent, group, session, since = (int(fields[index]) for index in (_PARENT, _GROUP, _SESSION, _STARTED))
    return ProcessEntry(int(name), parent, group, session, since, ended)


def _read(path: str) -> bytes:
    """The first bytes of a file in /proc; none if its process has ended or may not be read."""
    try:
        with open(f"{_PROC}/{path}", "rb", buffering=0) as file:
            return file.read(READ_MAX)
    except OSError:
        return b""


def _by_ps() -> Iterator[ProcessEntry]:
    listing = subprocess.run(
        ["/bin/ps", "-axo", "pid=,ppid=,pgid=,stat=,lstart="], capture_output=True, check=False
    ).stdout
    for line in listing.splitlines():
        pid, parent, group, state, since = line.split(None, 4)
        yield ProcessEntry(int(pid), int(parent), int(group), 0, zlib.crc32(since.strip()), state.startswith(b"Z"))
