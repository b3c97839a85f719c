"""`ctx.file`: which names and paths it takes, what it says of others, and that it copies in pieces."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jobcore import AsyncContext, InvalidValue, JobCancelled, JobContext
from jobcore.errors import FileStoreUnavailable
from jobcore.files.names import checked_media_type, checked_name
from jobcore.models import NewFile, StoredFile
from jobcore.states import Status
from jobcore.tasks import Registry, decorator, task
from jobcore.testing import File
from jobcore.testing import run as try_task
from jobcore.worker.files import PIECE_BYTES, store_file
from jobcore.worker.values import DEFAULT_BOUNDS, Bounds
from tests.unit.running import run


@pytest.mark.parametrize("name", ["a", "report.pdf", "Ü €.csv", "…", "...", ".hidden", "a" * 200, "می\u200cخواهم.txt"])
def test_names_that_name_one_file_are_taken(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "1 to 200 characters"),
        ("a" * 201, "1 to 200 characters"),
        (5, "1 to 200 characters"),
        ("ü" * 128, "255 bytes"),
        (".", "must not be a path"),
        ("..", "must not be a path"),
        ("a/b", "must not be a path"),
        ("/etc/passwd", "must not be a path"),
        ("..\\a", "must not be a path"),
        ("a\0", "must not contain"),
        ("a\nb", "must not contain"),
        ("a\x7f", "must not contain"),
        ("a\u2028", "must not contain"),
        ("\u202efdp.exe", "must not contain"),
        ("a\ud800", "must not contain"),
        (" a", "must not begin or end with a space"),
        ("a ", "must not begin or end with a space"),
    ],
)
def test_names_that_could_be_taken_for_something_else_are_refused(name: Any, says: str) -> None:
    with pytest.raises(InvalidValue, match=says):
        checked_name(name)


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("a.csv", "text/csv"),
        ("a.tar.gz", "application/gzip"),
        ("a.PDF", "application/pdf"),
        ("a", "application/octet-stream"),
        ("a.b%2Fc", "application/octet-stream"),
    ],
)
def test_the_media_type_is_guessed_from_the_name(name: str, guess: str) -> None:
    assert checked_media_type(None, name) == guess


@pytest.mark.parametrize("given", ["text/csv; charset=utf-8", "application/vnd.x+json", 'a/b; c="d e"'])
def test_a_media_type_that_is_given_is_kept(given: str) -> None:
    assert checked_media_type(given, "a.txt") == given


@pytest.mark.parametrize("given", ["", "text", "text/", "text/csv\r\nX: y", "text/csv; a", "ü/b", 5, "a/" + "b" * 200])
def test_a_media_type_that_could_break_a_header_is_refused(given: Any) -> None:
    with pytest.raises(InvalidValue, match="media_type must be one such as 'text/csv'"):
        checked_media_type(given, "a.txt")


class Sink:
    """Keeps what was done with files."""

    def __init__(self, fails: BaseException | None = None) -> None:
        self.calls: list[str] = []
        self.pieces: list[bytes] = []
        self._fails = fails

    def begin(self, file: NewFile) -> None:
        self.calls.append(f"begin {file.name}")

    @contextmanager
    def writer(self, _file: NewFile, _size: int) -> Iterator[Sink]:
        yield self

    def write(self, piece: bytes, /) -> None:
        if self._fails:
            raise self._fails
        self.pieces.append(piece)

    def finish(self, file: NewFile, _size: int, sha256: str) -> None:
        self.calls.append(f"finish {file.name} {sha256}")

    def discard(self, file: NewFile) -> None:
        self.calls.append(f"discard {file.name}")


def store(sink: Sink, path: Any, stop: Callable[[], None] = lambda: None, bounds: Bounds = DEFAULT_BOUNDS) -> Any:
    return store_file(sink, bounds, stop, path, None, None)


def test_a_file_is_copied_piece_by_piece_with_its_digest(tmp_path: Path) -> None:
    content = os.urandom(2 * PIECE_BYTES + 3)
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    sink, sha256 = Sink(), hashlib.sha256(content).hexdigest()
    assert store(sink, path) == {
        "name": "a.bin",
        "size": len(content),
        "media_type": "application/octet-stream",
        "sha256": sha256,
    }
    assert b"".join(sink.pieces) == content
    assert max(map(len, sink.pieces)) == PIECE_BYTES
    assert sink.calls == ["begin a.bin", f"finish a.bin {sha256}"]


def test_what_is_no_file_is_refused_and_nothing_begins(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "locked").mkdir()
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket"))
    sink = Sink()
    for path, says in {
        tmp_path / "none": "cannot be read: No such file or directory",
        tmp_path: "is a directory, not a file",
        tmp_path / "fifo": "is a FIFO, not a file",
        tmp_path / "socket": "is a socket, not a file",
        "/dev/null": "is a device, not a file",
        "a\0": "cannot be a path",
        None: "cannot be a path",
    }.items():
        with pytest.raises(InvalidValue, match=says):
            store(sink, path)
    server.close()
    assert sink.calls == []


def test_a_file_beyond_the_bound_is_refused_before_anything_begins(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    sink = Sink()
    with pytest.raises(InvalidValue, match=r"has 5 bytes, but may have 4 \(LONGRUN_MAX_FILE_BYTES\)"):
        store(sink, tmp_path / "a", bounds=Bounds(file_bytes=4))
    assert sink.calls == []
    store(sink, tmp_path / "a", bounds=Bounds(file_bytes=5))


@pytest.mark.parametrize("change", ["grows", "shrinks"])
def test_a_file_that_changes_meanwhile_is_not_stored(tmp_path: Path, change: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 3 * PIECE_BYTES)

    def change_it() -> None:
        os.truncate(path, PIECE_BYTES if change == "shrinks" else 4 * PIECE_BYTES)

    sink = Sink()
    with pytest.raises(InvalidValue, match="changed while it was stored"):
        store(sink, path, stop=change_it)
    assert sink.calls == ["begin a", "discard a"]


@pytest.mark.parametrize("error", [FileStoreUnavailable("full"), JobCancelled("stop")])
def test_a_file_that_cannot_be_written_is_discarded(tmp_path: Path, error: BaseException) -> None:
    (tmp_path / "a").write_bytes(b"x")
    sink = Sink(fails=error)
    with pytest.raises(type(error)):
        store(sink, tmp_path / "a")
    assert sink.calls == ["begin a", "discard a"]


def test_a_run_that_should_stop_stops_at_the_next_piece(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3 * PIECE_BYTES)
    sink = Sink()

    def stop_at_the_second() -> None:
        if sink.pieces:
            raise JobCancelled("stop")

    with pytest.raises(JobCancelled):
        store(sink, tmp_path / "a", stop=stop_at_the_second)
    assert len(sink.pieces) == 1


def test_a_worker_without_a_place_for_files_says_so_and_the_job_may_be_tried_again(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    outcome = run(lambda ctx, _input: ctx.file(tmp_path / "a"))
    assert outcome.error is not None
    assert "LONGRUN_FILES is not set" in outcome.error["message"]
    assert outcome.status is Status.PENDING, "another worker may have one"


def test_a_test_sees_the_files_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Registry()
    monkeypatch.setattr(decorator, "registry", own)
    monkeypatch.setattr("jobcore.testing.cases.registry", own)
    (tmp_path / "a.csv").write_text("1,2")

    @task
    def report(ctx: JobContext) -> StoredFile:
        ctx.file(tmp_path / "a.csv", name=f"{ctx.attempt}.csv")
        return ctx.file(tmp_path / "a.csv")

    @task
    async def report_async(ctx: AsyncContext) -> StoredFile:
        return await ctx.file(tmp_path / "a.csv")

    assert try_task(report_async).files == {"a.csv": File("text/csv", b"1,2")}
    first = try_task(report)
    assert (first.result["name"], first.result["size"]) == ("a.csv", 3)
    assert first.files == {"1.csv": File("text/csv", b"1,2"), "a.csv": File("text/csv", b"1,2")}
    assert list(try_task(report, after=first).files) == ["1.csv", "a.csv", "2.csv"]
