"""Input files: whatever dies while one is uploaded or fetched, runs read whole files, and no bytes stay for ever."""

from __future__ import annotations

import hashlib
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.harness import Harness, environment
from tests.invariants import check
from tests.waiting import until

pytestmark = pytest.mark.fault

PIECE = bytes(2**20)
LARGE = 300
"""Pieces of a file that takes long enough to be fetched that something can happen meanwhile."""


def upload(api: httpx.Client, pieces: int) -> str:
    answer = api.post("/files", content=(PIECE for _ in range(pieces)))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["file_id"])


def fetched(job_id: str, fence: int) -> list[Path]:
    """What this run has fetched, if only in part."""
    return list(Path(tempfile.gettempdir()).glob(f"longrun-process-*/{job_id}-{fence}/*"))


def bytes_of(longrun: Harness, file_id: str) -> Path:
    return longrun.stack.files / file_id[-2:] / file_id


def test_a_child_that_is_killed_while_it_fetches_a_file_leaves_nothing_and_the_next_run_reads_it_whole(
    longrun: Harness,
) -> None:
    files = {"large.bin": upload(longrun.api, LARGE)}
    job_id = longrun.submit("test_input_file", {"folder": str(longrun.folder)}, files=files)
    part = until(lambda: next(iter(fetched(job_id, 1)), None), what="the run fetches its file", poll_s=0.002)
    os.kill(longrun.runs(job_id).pid, signal.SIGKILL)
    job = longrun.reaches(job_id, "SUCCESS")
    assert (job["crashes"], job["fence"]) == (1, 2)
    assert job["result"]["sha256"] == hashlib.sha256(PIECE * LARGE).hexdigest()
    until(lambda: not part.parent.parent.exists(), what="the folder of the killed child is removed")
    until(lambda: not fetched(job_id, 2), what="the file of the run that ended is removed")
    check(longrun, [job_id])


@pytest.mark.parametrize("task_type", ["test_input_file_in_thread", "test_input_file_async"])
def test_a_run_in_any_lane_reads_its_input_files(longrun: Harness, task_type: str) -> None:
    job_id = longrun.submit(task_type, {"folder": str(longrun.folder)}, files={"large.bin": upload(longrun.api, 2)})
    job = longrun.reaches(job_id, "SUCCESS")
    assert job["result"]["sha256"] == hashlib.sha256(PIECE * 2).hexdigest()
    assert not Path(job["result"]["path"]).exists()


def test_a_run_that_asks_for_a_file_that_its_job_does_not_have_fails_and_says_which_there_are(longrun: Harness) -> None:
    files = {"small.bin": upload(longrun.api, 1)}
    job = longrun.reaches(longrun.submit("test_input_file", {"folder": str(longrun.folder)}, files=files), "FAILED")
    assert job["error"]["message"] == "input_file: the job has no input file 'large.bin'; it has 'small.bin'"


def test_input_files_are_deleted_with_their_job_whoever_deletes_it(longrun: Harness) -> None:
    file_id = upload(longrun.api, 1)
    files = {"large.bin": file_id}
    job_id = longrun.submit("test_input_file", {"folder": str(longrun.folder)}, files=files)
    longrun.reaches(job_id, "SUCCESS")
    assert bytes_of(longrun, file_id).stat().st_size == len(PIECE)
    longrun.sql("DELETE FROM jobs WHERE id = %s", job_id)
    until(lambda: not bytes_of(longrun, file_id).exists(), what="the keeper has deleted the file")


def test_an_api_that_is_killed_during_an_upload_leaves_only_what_the_keeper_deletes(
    longrun: Harness,
) -> None:
    api = longrun.stack.api(env=environment(longrun.stack.folder))

    def pieces() -> Iterator[bytes]:
        yield PIECE
        yield PIECE
        until(lambda: any(bytes_of(longrun, each).exists() for each in unfinished(longrun)), what="bytes are stored")
        api.kill()
        while True:
            yield PIECE

    with httpx.Client(base_url=api.url, timeout=30) as client, pytest.raises(httpx.TransportError):
        client.post("/files", content=pieces())
    [left] = unfinished(longrun)
    longrun.sql("UPDATE input_files SET expires_at = now() WHERE id = %s", left)

    def is_marked() -> bool:
        return bool(longrun.sql("SELECT id FROM input_files WHERE id = %s AND delete_at > now()", left))

    until(is_marked, what="the keeper has found what the killed API left")
    longrun.sql("UPDATE input_files SET delete_at = now() WHERE id = %s", left)
    until(lambda: not bytes_of(longrun, left).exists(), what="it is deleted")


def unfinished(longrun: Harness) -> list[str]:
    """The files that are being uploaded."""
    return [str(row["id"]) for row in longrun.sql("SELECT id FROM input_files WHERE stored_at IS NULL")]
