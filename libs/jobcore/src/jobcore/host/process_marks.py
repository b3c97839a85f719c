"""Marks tell whose a process is after everything that ties it to its origin is gone: parent, group and session.

A mark is a name and a value. A process passes its marks on in two ways, because each survives what the other does not:

- an environment variable, which the programs that it starts inherit (read back from /proc/PID/environ);
- the name of a memory mapping, which its forks inherit (read back from /proc/PID/maps): the environment that the system
  shows of a fork is that of the program it is a copy of.

Jenkins finds the processes of a build by such a variable (BUILD_ID, JENKINS_NODE_COOKIE). A program that is started
with an empty environment has no mark. Systems other than Linux show neither, so there no process has one.
"""

from __future__ import annotations

import mmap
import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

CHILD: Final = "LONGRUN_CHILD"
"""The child of a worker that a process descends from: a `ChildToken`."""
RUN: Final = "LONGRUN_RUN"
"""The run that started a process: job id and fence."""
_IN_ENVIRONMENT: Final = re.compile(rb"(?:^|\0)(LONGRUN_CHILD|LONGRUN_RUN)=([^\0]+)")
_IN_MAPS: Final = re.compile(rb"/memfd:(LONGRUN_CHILD|LONGRUN_RUN)=(\S+)")

_mappings: list[mmap.mmap] = []


def put(name: str, value: str) -> None:
    """Give this process a mark, which what it forks and starts from now on inherits."""
    os.environ[name] = value
    if sys.platform == "linux":
        with suppress(OSError):  # a sandbox without memfd_create(2)
            _mappings.append(_named_mapping(f"{name}={value}"))


def of(pid: int) -> dict[str, str]:
    """The marks of a process; none if it has none or may not be read."""
    if sys.platform != "linux":
        return {}
    marks = _found(_IN_ENVIRONMENT, pid, "environ")
    if is_same_program(pid, os.getpid()):
        marks |= _found(_IN_MAPS, pid, "maps")  # a fork is younger than the program that it is a copy of
    return marks


def is_same_program(pid: int, other: int) -> bool:
    """True if both processes run the same executable file, as a fork does until it starts a program."""
    try:
        return os.readlink(f"/proc/{pid}/exe") == os.readlink(f"/proc/{other}/exe")
    except OSError:
        return False


def _named_mapping(name: str) -> mmap.mmap:
    descriptor = os.memfd_create(name)
    try:
        os.ftruncate(descriptor, mmap.PAGESIZE)
        return mmap.mmap(descriptor, mmap.PAGESIZE)
    finally:
        os.close(descriptor)


def _found(pattern: re.Pattern[bytes], pid: int, file: str) -> dict[str, str]:
    content = _read(f"/proc/{pid}/{file}")
    if not content:  # it may be that only its main thread has ended
        with suppress(OSError):
            threads = os.listdir(f"/proc/{pid}/task")  # none if the process ends just now
            content = _read(f"/proc/{pid}/task/{max(threads, key=int, default=pid)}/{file}")
    return {name.decode(): value.decode(errors="replace") for name, value in pattern.findall(content)}


def _read(path: str) -> bytes:
    """What the file has; nothing if its process has ended, or is another user's."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
