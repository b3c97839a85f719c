"""Names one child of one worker for ever, in the mark of the processes that descend from it."""

from __future__ import annotations

import os
from typing import NamedTuple, Self

from jobcore.host.processes import started


class ChildToken(NamedTuple):
    """A child and its main process, each by pid and start time, and the pid namespace in which they have these pids."""

    namespace: int
    main: int
    main_since: int
    pid: int
    since: int

    @classmethod
    def of_this_process(cls, main: int) -> Self:
        """The token of this process, a child of the main process with this pid."""
        return cls(namespace(), main, started(main), os.getpid(), started(os.getpid()))

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """The token with this text; None if it is none."""
        try:
            return cls(*map(int, (text or "").split("-")))
        except (TypeError, ValueError):
            return None

    def __str__(self) -> str:
        return "-".join(map(str, self))


def namespace() -> int:
    """Which pids this process sees (pid_namespaces(7)); 0 if the system has no such thing."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0
