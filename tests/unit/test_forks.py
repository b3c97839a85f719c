"""A process that was forked while another thread wrote can write itself."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

FORKS = textwrap.dedent("""
    import logging, os, select, signal, sys, threading

    from jobcore.settings import CoreSettings
    from jobcore.telemetry import logs
    from jobcore.worker.output_capture import CapturedStream, of_job

    logs.setup(CoreSettings(DATABASE_URL="postgresql://nobody@127.0.0.1/none"))
    if sys.argv[2] == "captured":
        sys.stderr = CapturedStream(sys.stderr, "stderr")
        logs.of_job("a job")
    write = {"log": logging.warning, "print": lambda text: print(text, file=sys.stderr)}
    threading.Thread(target=write[sys.argv[1]], args=(1_000_000 * "x",), daemon=True).start()
    while select.select([], [2], [], 0)[1]:  # until the pipe is full, and the thread waits for its reader
        pass
    if os.fork() == 0:
        signal.alarm(20)
        os.dup2(os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT), 2)
        for each in write:
            write[each](f"{each} of the fork")
        os._exit(0)
    os._exit(os.waitstatus_to_exitcode(os.wait()[1]) % 256)
""")
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
"""Without a buffer, streams have no lock."""


def test_a_fork_logs_and_prints_though_a_thread_that_it_has_not_was_writing(tmp_path: Path) -> None:
    for locked in ("log", "print"):
        for stream in ("plain", "captured"):
            path = tmp_path / f"{locked}-{stream}"
            read, write = os.pipe()
            try:
                command = [sys.executable, "-c", FORKS, locked, stream, str(path)]
                code = subprocess.run(command, env=BUFFERED, stderr=write, check=False).returncode
            finally:
                os.close(write)
                os.close(read)
            assert code == 0, (locked, stream)
            assert all(f"{each} of the fork" in path.read_text() for each in ("log", "print"))
