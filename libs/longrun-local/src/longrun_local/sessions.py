"""Find and kill all processes of a session (setsid(2)); orphans keep the id of their session.

A process group would not be enough, because Celery's children move to groups of their own.
"""

from __future__ import annotations

import os
import signal
import time

import psutil

POLL_S = 0.05


def members(session: int) -> list[int]:
    """The ids of the live processes in the session, without zombies."""
    return [pid for pid in psutil.pids() if _session_of(pid) == session and not _is_zombie(pid)]


def kill(session: int, signum: signal.Signals = signal.SIGKILL) -> None:
    """Send the signal to every member of the session."""
    for pid in members(session):
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            continue


def kill_all(session: int) -> None:
    """SIGKILL all members, including processes that are forked meanwhile, until none is left."""
    while members(session):
        kill(session)
        time.sleep(POLL_S)  # the kernel reports the end of a process only to its parent


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _is_zombie(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return True
