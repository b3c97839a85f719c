"""Several runs of one child at once: each ends its own processes, and no others."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

CHILD = textwrap.dedent("""
    import asyncio, json, multiprocessing, os, subprocess, sys, threading, time
    from contextvars import copy_context
    from pathlib import Path
    from uuid import UUID

    from jobcore.host import process_marks
    from jobcore.host.process_table import below
    from jobcore.supervision.child_state import RunKey
    from jobcore.worker import run_processes

    def key(number):
        return RunKey(UUID(int=number), 1)

    def context(number):
        context = copy_context()
        context.run(run_processes.begin, key(number))
        return context

    def pids():
        return {pid for pid, entry in below(os.getpid()).items() if pid != os.getpid() and not entry.ended}

    def started_by(context, function, *args):
        before = pids()
        context.run(function, *args)
        give_up_at = time.monotonic() + 60
        while not pids() - before and time.monotonic() < give_up_at:
            time.sleep(0.01)
        time.sleep(0.3)
        return pids() - before

    def program(**options):
        subprocess.Popen(["sleep", "600"], **options)

    def daemon():
        subprocess.run(["bash", "-c", "(setsid nohup sleep 600 >/dev/null 2>&1 &)"], check=True)

    def bare():
        subprocess.Popen(["bash", "-c", "env -i sleep 600 & wait"])

    def fork():
        if os.fork() == 0:
            os.setsid()
            time.sleep(600)

    def forked_program():
        if os.fork() == 0:
            subprocess.run(["sleep", "600"])
            os._exit(0)

    def worker(method):
        multiprocessing.get_context(method).Process(target=time.sleep, args=(600,), daemon=True).start()

    def by_asyncio():
        async def start():
            await asyncio.create_subprocess_exec("sleep", "600")
        asyncio.run(start())

    def thread():
        thread = threading.Thread(target=program)
        thread.start()
        thread.join()

    WAYS = {
        "program": program, "empty": lambda: program(env={}), "daemon": daemon, "bare": bare, "fork": fork,
        "forked program": forked_program, "asyncio": by_asyncio, "mp-fork": lambda: worker("fork"),
        "mp-spawn": lambda: worker("spawn"), "mp-forkserver": lambda: worker("forkserver"), "thread": thread,
    }
    run_processes.install(os.getppid())
    facts = {}
""")


def in_child(script: str, *args: str) -> dict[str, Any]:
    said = subprocess.run(
        [sys.executable, "-c", CHILD + textwrap.dedent(script) + "\nprint(json.dumps(facts))", *args],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    return dict(json.loads(said.stdout.splitlines()[-1]))


WAYS = ["program", "empty", "daemon", "bare", "fork", "forked program", "asyncio", "mp-fork", "mp-spawn"]


@pytest.mark.parametrize("way", [*WAYS, "mp-forkserver"])
def test_a_run_ends_its_processes_and_a_run_beside_it_keeps_its_own(way: str) -> None:
    facts = in_child(
        """
        first, second = context(1), context(2)
        ours, theirs = started_by(first, WAYS[sys.argv[1]]), started_by(second, WAYS[sys.argv[1]])
        helpers = {pid for pid in ours | theirs if run_processes._is_helper(pid)}
        commands = run_processes.end(key(1))
        facts |= {"ours": len(ours - helpers), "ended": len(commands), "alive": len(ours & pids() - helpers)}
        facts |= {"theirs": len(theirs - helpers), "kept": len(theirs & pids() - helpers)}
        run_processes.end(key(2))
        facts["last"] = len((ours | theirs) & pids() - helpers)
        """,
        way,
    )
    assert facts["ours"] >= 1
    assert facts == {**facts, "alive": 0, "kept": facts["theirs"], "last": 0}
    assert facts["ended"] >= facts["ours"]


def test_what_nobody_knows_the_run_of_ends_with_the_last_run_that_may_have_started_it() -> None:
    facts = in_child(
        """
        first, second = context(1), context(2)
        nobodys = started_by(first, WAYS["thread"])
        time.sleep(0.2)
        third = context(3)
        for number in (1, 2, 3):
            run_processes.end(key(number))
            facts[str(number)] = len(nobodys & pids())
        """
    )
    assert facts == {"1": 1, "2": 0, "3": 0}


def test_a_child_that_runs_nothing_keeps_no_process_and_no_zombie() -> None:
    facts = in_child(
        """
        first = context(1)
        for way in ("program", "daemon", "fork", "bare"):
            started_by(first, WAYS[way])
        subprocess.Popen(["true"])
        run_processes.end(key(1))
        facts["any"] = run_processes.any_started()
        """
    )
    assert facts == {"any": False}


def test_the_exit_code_of_a_program_is_kept_for_whoever_asks_and_an_orphan_is_reaped() -> None:
    facts = in_child(
        """
        run_processes.ADOPTED_S = 0.0
        first = context(1)
        failed = first.run(subprocess.Popen, ["bash", "-c", "(true &); exit 3"])
        give_up_at = time.monotonic() + 60
        while time.monotonic() < give_up_at:
            run_processes.reap_adopted()
            zombies = [pid for pid, entry in below(os.getpid()).items() if entry.ended]
            if zombies == [failed.pid]:
                break
            time.sleep(0.01)
        facts |= {"zombies": zombies == [failed.pid], "code": failed.wait()}
        """
    )
    assert facts == {"zombies": True, "code": 3}


def test_programs_find_the_run_in_their_environment_and_what_their_caller_gave_them() -> None:
    facts = in_child(
        """
        first = context(1)
        said = first.run(subprocess.check_output, ["/usr/bin/env"], env={"MINE": "1"}).decode()
        facts |= dict(line.split("=", 1) for line in said.splitlines())
        facts["bytes"] = first.run(subprocess.check_output, ["/usr/bin/env"], env={b"MINE": b"2"}).decode()
        """
    )
    assert facts["MINE"] == "1"
    assert facts["LONGRUN_RUN"] == "00000000-0000-0000-0000-000000000001/1"
    assert "MINE=2" in facts["bytes"]
