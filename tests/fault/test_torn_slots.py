"""A child frozen in the middle of what it says of itself: nothing of it is given back while it may go on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.fault.torn import CHANGES, FOLDER
from tests.harness import HEARTBEAT_S, NOTICED_S, Harness, gone
from tests.invariants import check
from tests.thorough import cases
from tests.waiting import until

pytestmark = pytest.mark.fault

WATCH_S = 4 * HEARTBEAT_S
"""The supervisor compares rows and slots at each heartbeat."""


@pytest.mark.parametrize("change", cases(CHANGES, always=2))
def test_a_child_frozen_within_a_change_of_its_slot_keeps_its_job_and_runs_it_once(
    apart: Harness, tmp_path: Path, change: str
) -> None:
    apart.worker("torn", concurrency=2, **{FOLDER: str(tmp_path)})
    freeze_at(change, tmp_path)
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


@pytest.mark.parametrize("change", cases(["claimed", "begin"]))
def test_a_job_that_was_lost_to_another_worker_before_it_began_never_begins(
    apart: Harness, tmp_path: Path, change: str
) -> None:
    """Its worker is frozen between the claim and the first line of the task, and thaws when its lease is over."""
    worker = apart.worker("torn", concurrency=1, **{FOLDER: str(tmp_path)})
    first_id = apart.worker_id(worker)
    freeze_at(change, tmp_path)
    job_id = apart.tick(600)
    until(lambda: _text(tmp_path / "frozen"), what="a child is frozen")
    worker.send_group(signal.SIGSTOP)
    apart.worker("other", concurrency=1)
    until(lambda: apart.job(job_id)["fence"] == 2, NOTICED_S + 5, "it is claimed elsewhere")
    assert apart.runs(job_id, fence=2)
    worker.send_group(signal.SIGCONT)
    until(lambda: apart.worker_id(worker) not in (None, first_id), what="the worker has a new lease")
    assert {tick.fence for tick in apart.ticks(job_id)} == {2}
    apart.api.delete(f"/tasks/{job_id}")
    apart.stopped(job_id)
    check(apart, [job_id])


def freeze_at(change: str, folder: Path) -> None:
    (folder / "freeze.next").write_text(change)
    (folder / "freeze.next").rename(folder / "freeze")


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
