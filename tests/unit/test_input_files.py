"""`ctx.input_file` in tests of tasks, and the folders of processes that were killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from jobcore import AsyncContext, InvalidValue, JobContext
from jobcore.host import process_folders
from jobcore.tasks import Registry, decorator, task
from jobcore.testing import run

HOLD = "from jobcore.host import process_folders; print(process_folders.own(), flush=True); input()"


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry of this test's own."""
    own = Registry()
    monkeypatch.setattr(decorator, "registry", own)
    monkeypatch.setattr("jobcore.testing.cases.registry", own)
    return own


def test_a_task_reads_the_files_that_its_test_gives(tmp_path: Path) -> None:
    @task
    def read(ctx: JobContext) -> list[str]:
        path = ctx.input_file("b")
        assert path == ctx.input_file("b")
        return [ctx.input_file("a").read_text(), path.read_text(), str(path)]

    @task
    async def read_async(ctx: AsyncContext) -> str:
        return (await ctx.input_file("a")).read_text()

    (tmp_path / "file").write_text("from a file")
    done = run(read, files={"a": b"bytes", "b": tmp_path / "file"})
    assert done.result[:2] == ["bytes", "from a file"]
    assert not Path(done.result[2]).exists()
    assert run(read_async, files={"a": b"bytes"}).result == "bytes"
    with pytest.raises(InvalidValue, match="no input file 'b'; it has 'c'"):
        run(read, files={"c": b""})


def test_the_folder_of_a_killed_process_is_removed_and_that_of_a_live_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    holders = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD],
            env={"TMPDIR": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    folders = [Path(holder.stdout.readline().strip()) for holder in holders if holder.stdout]
    (folders[0] / "run").mkdir()
    process_folders.sweep()
    assert all(folder.exists() for folder in folders)
    holders[0].send_signal(signal.SIGKILL)
    holders[0].communicate()
    process_folders.sweep()
    assert [folder.exists() for folder in folders] == [False, True]
    holders[1].communicate("\n")
