"""Result files: whatever dies or stops while one is stored, readers see whole files, and no bytes are left for ever."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Harness
from tests.invariants import check
from tests.waiting import until

pytestmark = pytest.mark.fault

LARGE = 400 * 2**20
"""Takes long enough to be stored that something can happen meanwhile."""


def store(longrun: Harness, size: int = LARGE, **options: Any) -> str:
    return longrun.submit("test_file", {"size": size, "folder": str(longrun.folder)}, **options)


def rows(longrun: Harness, job_id: str) -> list[dict[str, Any]]:
    return longrun.sql("SELECT * FROM job_files WHERE job_id = %s ORDER BY id", job_id)


def bytes_of(longrun: Harness, file_id: str) -> Path:
    return longrun.stack.files / file_id[-2:] / file_id


def being_written(longrun: Harness, job_id: str) -> str:
    """Wait until some bytes of its file are written; returns the id of the file."""

    def begun() -> str | None:
        for row in rows(longrun, job_id):
            path = bytes_of(longrun, str(row["id"]))
            if row["stored_at"] is None and path.exists() and path.stat().st_size:
                return str(row["id"])
        return None

    return until(begun, what="the file is being written", poll_s=0.002)


def hurry(longrun: Harness, file_id: str) -> None:
    """Let the time pass after which the keeper deletes a file."""
    longrun.sql("UPDATE job_files SET delete_at = now() WHERE id = %s", file_id)


def is_forgotten(longrun: Harness, file_id: str) -> bool:
    return not longrun.sql("SELECT id FROM job_files WHERE id = %s", file_id)


def test_a_child_that_is_killed_while_it_stores_a_file_shows_nothing_of_it_and_the_next_run_stores_it_whole(
    longrun: Harness,
) -> None:
    job_id = store(longrun)
    begun = being_written(longrun, job_id)
    os.kill(longrun.runs(job_id).pid, signal.SIGKILL)
    assert longrun.api.get(f"/tasks/{job_id}/files").json() == {"items": []}
    job = longrun.reaches(job_id, "SUCCESS")
    assert (job["crashes"], job["fence"]) == (1, 2)
    [shown] = longrun.api.get(f"/tasks/{job_id}").json()["files"]
    assert (shown["name"], shown["size"]) == ("large.bin", LARGE)
    assert longrun.api.head(f"/tasks/{job_id}/files/large.bin").headers["content-length"] == str(LARGE)

    def is_abandoned() -> bool:
        return any(str(row["id"]) == begun and row["delete_at"] for row in rows(longrun, job_id))

    until(is_abandoned, what="the keeper has found what the killed child left")
    assert bytes_of(longrun, begun).exists(), "a last request of a lost run could still be under way"
    hurry(longrun, begun)
    until(lambda: is_forgotten(longrun, begun), what="it is deleted")
    assert not bytes_of(longrun, begun).exists()
    check(longrun, [job_id])


def test_a_cancel_while_a_file_is_stored_stops_the_run_and_leaves_nothing_of_it(longrun: Harness) -> None:
    job_id = store(longrun)
    begun = being_written(longrun, job_id)
    longrun.api.delete(f"/tasks/{job_id}")
    job = longrun.stopped(job_id)
    assert job["cancel_method"] in ("cooperative", "signal", "finished")
    until(lambda: is_forgotten(longrun, begun), what="the keeper has deleted it")
    assert not bytes_of(longrun, begun).exists()
    assert longrun.api.get(f"/tasks/{job_id}").json()["files"] == []
    check(longrun, [job_id])


def test_files_are_deleted_with_their_job_whoever_deletes_it(longrun: Harness) -> None:
    job_id = store(longrun, 1000)
    longrun.reaches(job_id, "SUCCESS")
    [row] = rows(longrun, job_id)
    file_id = str(row["id"])
    assert bytes_of(longrun, file_id).stat().st_size == 1000
    longrun.sql("DELETE FROM jobs WHERE id = %s", job_id)
    until(lambda: is_forgotten(longrun, file_id), what="the keeper has deleted the file")
    assert not bytes_of(longrun, file_id).exists()


def test_a_folder_of_files_that_cannot_be_used_fails_the_run_with_the_reason(apart: Harness) -> None:
    taken = apart.folder / "taken"
    taken.write_text("a file, and no folder")
    apart.worker(LONGRUN_FILES=str(taken))
    job = apart.reaches(store(apart, 1000, max_attempts=1), "FAILED")
    assert job["error"]["type"] == "FileStoreUnavailable"
    assert "cannot be used: Not a directory" in job["error"]["message"]


def test_an_api_that_does_not_share_the_folder_of_its_workers_says_so(apart: Harness) -> None:
    apart.worker()  # with the folder of this test, while the API has that of all
    job_id = store(apart, 1000)
    apart.reaches(job_id, "SUCCESS")
    answer = apart.api.get(f"/tasks/{job_id}/files/large.bin")
    assert answer.status_code == 503
    assert "one folder that they share" in answer.json()["detail"]
