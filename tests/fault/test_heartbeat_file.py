"""The probe of a worker: its heartbeat file is young while it lives and grows old while its main process is frozen."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from jobcore.worker.heartbeat import BEAT_S
from tests.processes import Stack
from tests.waiting import until

pytestmark = pytest.mark.fault


def test_the_heartbeat_file_of_a_frozen_main_process_grows_old_and_young_again_after_thawing(
    stack: Stack, tmp_path: Path
) -> None:
    file = tmp_path / "heartbeat"
    worker = stack.worker(env={"LONGRUN_HEARTBEAT_FILE": str(file)})

    def age_s() -> float:
        return time.time() - file.stat().st_mtime

    until(file.exists, what="the worker beats")
    worker.send(signal.SIGSTOP)
    until(lambda: age_s() > 3 * BEAT_S, what="the file grows old")
    worker.send(signal.SIGCONT)
    until(lambda: age_s() < 2 * BEAT_S, what="the file is young again")
