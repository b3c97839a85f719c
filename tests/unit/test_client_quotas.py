"""Quotas of owners in both clients and on the command line, against a scripted server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from longrun_client import AsyncLongrun, Longrun
from tests.unit.client_server import ScriptedServer, answer
from tests.unit.conftest import Run

QUOTA = {
    "owner": "ada/1", "submissions": 100, "queued": None, "names": 9, "streams": 5, "stored_bytes": 4096,
    "is_default": False,
    "used": {"queued": 7, "names": 2, "streams": 3, "stored_bytes": 12},
}  # fmt: skip


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer() as scripted:
        monkeypatch.setenv("LONGRUN_URL", scripted.url)
        scripted.on("GET /quotas", answer({"items": [QUOTA], "next": None}))
        scripted.on("GET /quotas/ada%2F1", answer(QUOTA))
        scripted.on("PUT /quotas/ada%2F1", answer(QUOTA))
        scripted.on("DELETE /quotas/ada%2F1", answer("", 204))
        yield scripted


def test_both_clients_list_get_set_and_clear_quotas(server: ScriptedServer) -> None:
    with Longrun(server.url) as client:
        assert [quota.owner for quota in client.quotas()] == ["ada/1"]
        assert client.quota("ada/1").submissions == 100
        assert client.set_quota("ada/1", submissions=100).is_default is False
        assert server.requests[-1].json() == {"submissions": 100}
        client.clear_quota("ada/1")

    async def check() -> None:
        async with AsyncLongrun(server.url) as other:
            assert [quota.owner async for quota in other.quotas()] == ["ada/1"]
            assert (await other.quota("ada/1")).submissions == 100
            assert (await other.set_quota("ada/1", submissions=None, queued=9)).used.queued == 7
            assert server.requests[-1].json() == {"submissions": None, "queued": 9}
            await other.clear_quota("ada/1")

    asyncio.run(check())


def test_the_command_lists_shows_sets_and_clears_quotas(server: ScriptedServer, run: Run) -> None:
    row = ["ada/1", "100", "7", "of", "any", "2", "of", "9", "3", "of", "5", "12", "of", "4096", "its", "own"]
    for command in ((), ("show", "ada/1"), ("set", "ada/1", "--submissions", "100")):
        head, line = [each.split() for each in run("quotas", *command).out.splitlines()]
        assert head == ["OWNER", "SUBMISSIONS/S", "QUEUED", "NAMES", "STREAMS", "BYTES", "FROM"]
        assert line == row
    assert json.loads(run("quotas", "set", "ada/1", "--submissions", "any", "--json").out) == QUOTA
    assert server.requests[-1].json() == {"submissions": None}
    assert run("quotas", "clear", "ada/1") == (0, "", "ada/1: the quotas of the settings\n")
    for options, problem in ((("--queued", "-1"), "must be a number or `any`"), ((), "give at least one of")):
        refused = run("quotas", "set", "ada/1", *options)
        assert refused.code != 0
        assert problem in refused.err
