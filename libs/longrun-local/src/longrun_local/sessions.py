"""A process and everything it started: a session (setsid(2)), whose members keep its number when orphaned.

Celery's children move to process groups of their own, so a group would not reach them all.
"""

from __future__ import annotations

import os
import signal
import time

import psutil

POLL_S = 0.05


def members(session: int) -> list[int]:
    """The ids of the processes in the session that runs do live in (zombies do not)."""
    return [pid for pid in psutil.pids() if _session_of(pid) == session and not _is_zombie(pid)]


def kill(session: int, signum: signal.Signals = signal.SIGKILL) -> None:
    """Send the signal to every member of the session."""
    for pid in members(session):
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            continue


def kill_all(session: int) -> None:
    """SIGKILL until nobody is left, those that are being forked meanwhile included."""
    while members(session):
        kill(session)
        time.sleep(POLL_S)  # the kernel tells nobody but a parent about a death


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
