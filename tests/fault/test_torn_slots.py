"""A child frozen in the middle of what it says of itself: nothing of it is given back while it may go on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.fault.torn import CHANGES, FOLDER
from tests.harness import HEARTBEAT_S, Harness, gone, until
from tests.invariants import check

pytestmark = pytest.mark.fault

WATCH_S = 4 * HEARTBEAT_S
"""The supervisor compares rows and slots at each heartbeat."""


@pytest.mark.parametrize("change", CHANGES)
def test_a_child_frozen_within_a_change_of_its_slot_keeps_its_job_and_runs_it_once(
    apart: Harness, tmp_path: Path, change: str
) -> None:
    apart.worker("torn", concurrency=2, **{FOLDER: str(tmp_path)})
    (tmp_path / "freeze.next").write_text(change)
    (tmp_path / "freeze.next").rename(tmp_path / "freeze")
    job_id = apart.tick(0.5)
    pid = int(until(lambda: _text(tmp_path / "frozen"), what="a child is frozen"))
    try:
        with pytest.raises(AssertionError, match="never"):
            until(lambda: apart.job(job_id)["fence"] > 1, WATCH_S, "never")
        assert not gone(pid)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert apart.reaches(job_id, "SUCCESS")["fence"] == 1
    check(apart, [job_id])


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
