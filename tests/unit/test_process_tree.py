"""Ending processes with everything below them: nothing gets away, and nothing else is touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobcore.host import process_marks, process_table, process_tree
from jobcore.host.process_table import descendants, snapshot
from jobcore.host.processes import Process
from tests.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SIGNS = 'while :; do echo "$BASHPID" >> "$0"; sleep 0.05; done'
ADOPTS = textwrap.dedent("""
    import json, os, subprocess, sys, time
    from pathlib import Path
    from jobcore.host import process_tree
    from jobcore.host.process_table import descendants, snapshot

    assert process_tree.adopt_orphans()
    signs = Path(sys.argv[1])
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(["bash", "-c", sys.argv[2], str(signs)], check=True, **quiet)
    while not signs.exists() or not signs.read_text():
        time.sleep(0.01)
    if sys.argv[4]:
        # a look is so slow that whatever was alive when it began has ended when it is read
        for name in ("below", "snapshot"):
            look = getattr(process_tree, name)
            late = lambda *args, look=look: {
                pid: entry for pid, entry in look(*args).items() if entry.ended or pid == os.getpid()
            }
            setattr(process_tree, name, late)
    ended = process_tree.end(
        lambda table: descendants(table, [os.getpid()]), root=os.getpid(), grace_s=float(sys.argv[3])
    )
    size = signs.stat().st_size
    process_tree.reap(lambda zombies: [entry.pid for entry in zombies])
    time.sleep(0.3)
    grown = signs.stat().st_size - size
    left = [entry.pid for entry in descendants(snapshot(), [os.getpid()])]
    print(json.dumps({"commands": ended.commands, "survivors": ended.survivors, "grown": grown, "left": left}))
""")


def adopted(tmp_path: Path, script: str, grace_s: float = 0.0, *, late: str = "") -> dict[str, Any]:
    """What became of the orphans of a script, whose argument 0 is a file for signs of life."""
    said = subprocess.run(
        [sys.executable, "-c", ADOPTS, str(tmp_path / "signs"), script, str(grace_s), late],
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(said.stdout))


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Process]:
    """A shell with a child that ignores SIGTERM."""
    signs = tmp_path / "signs"
    popen = subprocess.Popen(["bash", "-c", f"(trap '' TERM; {SIGNS}) & {SIGNS}", str(signs)], start_new_session=True)
    process = Process(popen.pid)
    until(lambda: signs.exists() and len(set(signs.read_text().split())) == 2)
    yield process
    process.close()
    os.killpg(popen.pid, signal.SIGKILL) if popen.poll() is None else None
    popen.wait()


def members(session: int) -> list[int]:
    return [entry.pid for entry in snapshot().values() if entry.session == session and not entry.ended]


@pytest.mark.parametrize("grace_s", [0.0, 0.2], ids=["at once", "after a grace"])
@pytest.mark.parametrize(
    "script",
    [
        f"({SIGNS}) &",
        f"(setsid nohup bash -c '{SIGNS}' \"$0\" &)",
        f"(env -i setsid /bin/bash -c '{SIGNS}' \"$0\" &)",
        f"(trap '' TERM HUP INT; {SIGNS}) &",
        f'({SIGNS}) & kill -STOP $!; echo $! >> "$0"',
        """setsid bash -c 'echo $$ >> "$1"; sleep 0.005; bash -c "$0" "$0" "$1" & exit' """
        """'echo $$ >> "$1"; sleep 0.005; bash -c "$0" "$0" "$1" & exit' "$0" """,
    ],
    ids=["background", "double fork", "bare", "ignores SIGTERM", "stopped", "replaces itself"],
)
def test_nothing_below_a_process_that_adopts_orphans_gets_away(tmp_path: Path, script: str, grace_s: float) -> None:
    found = adopted(tmp_path, script, grace_s)
    assert found["commands"]
    assert (found["survivors"], found["grown"], found["left"]) == ([], 0, [])


def test_processes_that_replace_each_other_before_they_are_read_do_not_get_away(tmp_path: Path) -> None:
    again = f'echo "$BASHPID" >> "{tmp_path}/signs"; sleep 0.005; bash -c "$0" "$0" & disown; exit'
    seen = adopted(tmp_path, f"setsid bash -c '{again}' '{again}' &", late="late")
    assert (seen["grown"], seen["left"]) == (0, [])


def test_a_tree_ends_with_what_is_below_it_and_a_grace_lets_it_end_by_itself(tree: Process) -> None:
    ended = process_tree.end_tree(tree, grace_s=0.3)
    assert len(ended.commands) >= 2
    assert members(tree.pid) == []
    assert process_tree.end_tree(tree) == process_tree.Ended()


def test_a_process_that_only_has_the_pid_is_left_alone(tree: Process) -> None:
    process_tree.end_tree(Process(tree.pid, tree.since + 1))
    assert not tree.exited()


def test_a_process_never_ends_itself() -> None:
    # in a process of its own: everything below it ends, and below this one are the servers of other tests
    code = "import os; from jobcore.host.process_tree import end; print(end(lambda table: [table[os.getpid()]]).pids)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "()\n"


def test_the_end_of_a_grace_is_not_awaited_once_all_have_ended() -> None:
    popen = subprocess.Popen(["sleep", "600"])
    process = Process(popen.pid)
    process_tree.end_tree(process, grace_s=600)
    assert popen.wait() == -signal.SIGTERM


def test_a_process_whose_main_thread_has_ended_is_alive() -> None:
    code = "import ctypes, threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\n"
    popen = subprocess.Popen([sys.executable, "-c", f"{code}ctypes.CDLL(None).pthread_exit(None)"])
    state = Path(f"/proc/{popen.pid}/stat")
    until(lambda: state.read_text().rpartition(")")[2].split()[0] == "Z")
    assert not snapshot()[popen.pid].ended
    process_tree.end_tree(Process(popen.pid))
    assert popen.wait() == -signal.SIGKILL


def test_ps_and_proc_tell_the_same(tree: Process) -> None:
    by_ps = {entry.pid: entry for entry in process_table._by_ps()}
    by_proc = snapshot()
    assert {entry.pid for entry in descendants(by_ps, [os.getpid()])} >= {tree.pid}
    assert by_ps[tree.pid][:3] == by_proc[tree.pid][:3]
    assert by_ps[tree.pid].group == tree.pid


def test_a_mark_is_inherited_by_forks_and_by_programs() -> None:
    code = textwrap.dedent("""
        import json, os, signal, subprocess, time
        from jobcore.host import process_marks
        process_marks.put(process_marks.CHILD, "1-2-3-4-5")
        forked = os.fork()
        if forked == 0:
            os.setsid()
            time.sleep(600)
        program = subprocess.Popen(["sleep", "600"])
        print(json.dumps([process_marks.of(forked), process_marks.of(program.pid), process_marks.of(os.getppid())]))
        os.kill(forked, signal.SIGKILL)
        program.kill()
    """)
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    marked = {process_marks.CHILD: "1-2-3-4-5"}
    assert json.loads(said.stdout) == [marked, marked, {}]


def test_a_process_that_ends_while_its_marks_are_read_has_none() -> None:
    for _ in range(100):
        process = subprocess.Popen(["true"])
        reaper = threading.Thread(target=process.wait)
        reaper.start()
        while reaper.is_alive():
            assert process_marks.CHILD not in process_marks.of(process.pid)
