"""A download is whole or not there: it goes on after a broken connection, and what arrives is checked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import anyio
import pytest
from typer.testing import CliRunner

from longrun_client import AsyncLongrun, IncompleteDownload, Longrun, LongrunUnavailable, ProblemError
from longrun_client.answers import TRIES
from longrun_client.cli import app
from tests.unit.client_server import AT, Answer, ScriptedServer, answer, hang_up, problem

CONTENT = bytes(range(256)) * 1000
ETAG = f'"{hashlib.sha256(CONTENT).hexdigest()}"'
ROUTE = "GET /tasks/j1/files/a%20b.bin"
Fetch = Callable[[str | Path | None], Path]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as scripted:
        yield scripted


@pytest.fixture(params=["blocking", "async"])
def fetch(request: pytest.FixtureRequest, server: ScriptedServer) -> Fetch:
    """Downloads the file with one of the clients."""

    def blocking(to: str | Path | None) -> Path:
        with Longrun(server.url) as client:
            return client.download("j1", "a b.bin", to)

    async def awaited(to: str | Path | None) -> Path:
        async with AsyncLongrun(server.url) as client:
            return await client.download("j1", "a b.bin", to)

    return blocking if request.param == "blocking" else lambda to: anyio.run(awaited, to)


def sends(content: bytes, *, status: int = 200, etag: str = ETAG, cut_at: int | None = None) -> Answer:
    """The bytes of a file, or of its rest; with `cut_at`, the connection breaks after so many."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("ETag", etag)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:cut_at])
        handler.close_connection = cut_at is not None

    return send


def test_a_file_arrives_where_it_is_wanted(server: ScriptedServer, fetch: Fetch, tmp_path: Path) -> None:
    server.on(ROUTE, sends(CONTENT))
    for to, path in ((tmp_path, tmp_path / "a b.bin"), (str(tmp_path / "other"), tmp_path / "other")):
        assert fetch(to) == path
        assert path.read_bytes() == CONTENT
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a b.bin", "other"]


def test_a_broken_download_goes_on_where_it_was(server: ScriptedServer, fetch: Fetch, tmp_path: Path) -> None:
    server.on(ROUTE, sends(CONTENT, cut_at=100_000), hang_up, sends(CONTENT[100_000:], status=206))
    assert fetch(tmp_path / "a").read_bytes() == CONTENT
    assert "Range" not in server.requests[0].headers
    for request in server.requests[1:]:
        assert (request.headers["Range"], request.headers["If-Range"]) == ("bytes=100000-", ETAG)


def test_a_file_that_was_replaced_meanwhile_is_downloaded_anew(
    server: ScriptedServer, fetch: Fetch, tmp_path: Path
) -> None:
    other = b"another"
    etag = f'"{hashlib.sha256(other).hexdigest()}"'
    server.on(ROUTE, sends(CONTENT, cut_at=100_000), sends(other, etag=etag))
    assert fetch(tmp_path / "a").read_bytes() == other


def test_a_download_goes_on_for_as_long_as_bytes_arrive(server: ScriptedServer, fetch: Fetch, tmp_path: Path) -> None:
    pieces = [CONTENT[start : start + 50_000] for start in range(0, len(CONTENT), 50_000)]
    assert len(pieces) > TRIES
    answers = [sends(CONTENT[index * 50_000 :], status=206, cut_at=50_000) for index in range(1, len(pieces))]
    server.on(ROUTE, sends(CONTENT, cut_at=50_000), *answers)
    assert fetch(tmp_path / "a").read_bytes() == CONTENT


def test_what_is_not_what_the_server_stored_is_not_kept(server: ScriptedServer, fetch: Fetch, tmp_path: Path) -> None:
    server.on(ROUTE, sends(CONTENT[:-1] + b"!"))
    with pytest.raises(IncompleteDownload, match="did not arrive as it was stored"):
        fetch(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_stays_away_leaves_nothing_behind(server: ScriptedServer, fetch: Fetch, tmp_path: Path) -> None:
    server.on(ROUTE, sends(CONTENT, cut_at=1000), hang_up)
    with pytest.raises(LongrunUnavailable):
        fetch(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_is_raised_at_once_and_a_busy_server_is_asked_again(
    server: ScriptedServer, fetch: Fetch, tmp_path: Path
) -> None:
    server.on(ROUTE, problem(503, "busy", "later"), problem(404, "The task has no such file", "it has none"))
    with pytest.raises(ProblemError, match="The task has no such file"):
        fetch(tmp_path / "a")
    assert len(server.requests) == 2
    assert list(tmp_path.iterdir()) == []


def test_the_command_lists_and_downloads(server: ScriptedServer, tmp_path: Path) -> None:
    file = {"name": "a b.bin", "size": len(CONTENT), "media_type": "text/x", "sha256": ETAG[1:-1], "created_at": AT}
    server.on("GET /tasks/j1/files", answer({"items": [file]}))
    server.on(ROUTE, sends(CONTENT))
    runner, on = CliRunner(), ["--server", server.url]
    listed = runner.invoke(app, [*on, "files", "j1"])
    assert "256,000" in listed.stdout, listed.output
    as_json = runner.invoke(app, [*on, "files", "j1", "--json"])
    assert '"name":"a b.bin"' in as_json.stdout
    done = runner.invoke(app, [*on, "download", "j1", "a b.bin", "--to", str(tmp_path)])
    assert done.stdout.strip() == str(tmp_path / "a b.bin")
    assert (tmp_path / "a b.bin").read_bytes() == CONTENT
