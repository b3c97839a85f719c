"""Signals reach the process they are meant for, never one that got its pid later."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

from jobcore.host import processes
from jobcore.host.process_tree import kill_child
from jobcore.host.processes import Process, started
from jobcore.supervision.children import Children
from jobcore.supervision.slots import Slots

WITHIN_A_PID_NAMESPACE = textwrap.dedent("""
    import os, signal, subprocess, sys
    from pathlib import Path
    from jobcore.host import processes

    def ticks():
        return float(Path("/proc/uptime").read_text().split()[0]) * os.sysconf("SC_CLK_TCK")

    if sys.argv[1] == "without pidfd":
        processes._open = lambda pid: None
    sleep = ["sleep", "60"]
    first = subprocess.Popen(sleep)
    known, since = processes.Process(first.pid), ticks()
    known.signal(signal.SIGKILL)
    first.wait()
    while ticks() < since + 2:  # the kernel tells start times in ticks
        pass
    Path("/proc/sys/kernel/ns_last_pid").write_text(str(first.pid - 1))
    second = subprocess.Popen(sleep)
    if second.pid != first.pid:
        sys.exit("the pid was not given anew")
    known.signal(signal.SIGKILL)
    print("gone" if known.exited() else "there", "dead" if second.poll() is not None else "alive")
    second.kill()
""")


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture(params=["pidfd", "without pidfd"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param != "pidfd":
        monkeypatch.setattr(processes, "_open", lambda pid: None)
    elif sys.platform != "linux":
        pytest.skip("Linux has pidfds")
    return str(request.param)


@pytest.mark.usefixtures("how")
def test_a_process_is_there_until_it_ends_and_can_be_signalled(stranger: subprocess.Popen[bytes]) -> None:
    process = Process(stranger.pid)
    assert not process.exited()
    process.signal(signal.SIGKILL)
    stranger.wait()
    assert process.exited()
    process.signal(signal.SIGKILL)
    process.close()
    assert process.exited()


@pytest.mark.usefixtures("how")
def test_a_pid_that_another_process_has_now_is_that_of_a_dead_child(stranger: subprocess.Popen[bytes]) -> None:
    """The child that wrote its pid into the slot is dead, and the host gave its pid to somebody else."""
    slots = Slots(1, main_pid=os.getpid())
    slots[0].take(stranger.pid, started(stranger.pid) - 1)
    children = Children(slots, Process(os.getpid()))
    assert [death.slot for death in children.poll()] == [0]
    children.signal(0, signal.SIGKILL)
    children.kill_all()
    assert stranger.poll() is None
    children.bury(0)
    slots[0].take(stranger.pid, started(stranger.pid))
    assert children.poll() == []


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare")
def test_a_reused_pid_is_not_killed(how: str) -> None:
    """With a pid that the kernel really gave anew, in a pid namespace, where that can be brought about."""
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "--", sys.executable, "-c"]
    said = subprocess.run([*command, WITHIN_A_PID_NAMESPACE, how], capture_output=True, text=True, check=False)
    if "unshare:" in said.stderr or "ns_last_pid" in said.stderr:
        pytest.skip("no pid namespaces here")
    assert said.stdout.split() == ["gone", "alive"], said.stderr


def test_the_watchdog_kills_none_but_children_of_its_own(stranger: subprocess.Popen[bytes]) -> None:
    kill_child(os.getppid())
    kill_child(0)
    assert stranger.poll() is None
    kill_child(stranger.pid)
    assert stranger.wait(10) == -signal.SIGKILL
    kill_child(stranger.pid)


def test_an_unreadable_start_time_makes_no_live_process_a_dead_one(
    stranger: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with too many open files: a child taken for dead would have its jobs run twice."""
    monkeypatch.setattr(processes, "started", lambda pid: 0)
    assert not Process(stranger.pid, 1234).exited()
