"""What happened to tasks, in both clients and on the command line, against a scripted server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from longrun_client import AsyncLongrun, Longrun
from tests.unit.client_server import AT, ScriptedServer, answer
from tests.unit.conftest import Run

TOTAL = {
    "submitted": 1200, "succeeded": 1, "failed": 2, "cancelled": 3, "retried": 4,
    "wait_s": {"p50": 0.5, "p95": 3.0}, "run_s": None,
}  # fmt: skip
STATS = {"step_s": 3600, "items": [{**TOTAL, "at": AT}], "total": TOTAL}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer() as scripted:
        monkeypatch.setenv("LONGRUN_URL", scripted.url)
        scripted.on("GET /stats", answer(STATS))
        yield scripted


def test_both_clients_get_what_happened(server: ScriptedServer) -> None:
    with Longrun(server.url) as client:
        found = client.stats("day", queue="mail")
    assert server.lines("GET /stats") == ["GET /stats?last=day&queue=mail"]
    assert found.total.submitted == 1200
    assert found.items[0].wait_s is not None
    assert found.items[0].wait_s.p95 == 3.0

    async def check() -> None:
        async with AsyncLongrun(server.url) as other:
            assert await other.stats("day", queue="mail") == found

    asyncio.run(check())


def test_the_command_shows_a_row_for_each_time_and_their_sum(server: ScriptedServer, run: Run) -> None:
    head, row, total = [line.split() for line in run("stats", "--last", "day", "--queue", "mail").out.splitlines()]
    assert head[0] == "FROM"
    assert total == ["total", "1,200", "1", "2", "3", "4", "3.0", "s"]
    assert row[-7:] == total[1:]
    assert json.loads(run("stats", "--last", "day", "--queue", "mail", "--json").out)["total"] == TOTAL
