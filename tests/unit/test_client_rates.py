"""Rate limits in both clients and on the command line, against a scripted server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from longrun_client import AsyncLongrun, Longrun
from longrun_client.cli_rates import parse_rate
from longrun_client.inputs import InputError
from tests.unit.client_server import ScriptedServer, answer
from tests.unit.conftest import Run
from tests.unit.test_client_queues import QUEUE

LIMIT = {"key": "crm/7", "max_starts": 100, "window_s": 1.0, "taken": 3, "next_start_at": None}
RATE = {"max_starts": 100, "window_s": 60.0}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer() as scripted:
        monkeypatch.setenv("LONGRUN_URL", scripted.url)
        yield scripted


def test_both_clients_list_set_get_and_clear_rate_limits(server: ScriptedServer) -> None:
    server.on("GET /rate-limits", answer({"items": [LIMIT], "next": None}))
    server.on("GET /rate-limits/crm%2F7", answer(LIMIT))
    server.on("PUT /rate-limits/crm%2F7", answer(LIMIT))
    server.on("DELETE /rate-limits/crm%2F7", answer("", 204))
    server.on("PATCH /queues/default", answer(QUEUE | {"rate_limit": RATE}))

    with Longrun(server.url) as client:
        assert [limit.key for limit in client.rate_limits()] == ["crm/7"]
        assert client.rate_limit("crm/7").taken == 3
        assert client.set_rate_limit("crm/7", 100, 1).max_starts == 100
        assert server.requests[-1].json() == {"max_starts": 100, "window_s": 1}
        client.clear_rate_limit("crm/7")
        rate = client.limit_queue_rate("default", 100, 60).rate_limit
        assert rate is not None
        assert rate.window_s == 60

    async def check() -> None:
        async with AsyncLongrun(server.url) as other:
            assert [limit.key async for limit in other.rate_limits()] == ["crm/7"]
            assert (await other.rate_limit("crm/7")).taken == 3
            assert (await other.set_rate_limit("crm/7", 100, 1)).max_starts == 100
            await other.clear_rate_limit("crm/7")
            await other.limit_queue_rate("default", None)
            assert server.requests[-1].json() == {"rate_limit": None}

    asyncio.run(check())


def test_rate_limits_are_listed_set_and_cleared(server: ScriptedServer, run: Run) -> None:
    full = LIMIT | {"key": "x\x1b", "next_start_at": "2026-11-30T03:00:00Z"}
    server.on("GET /rate-limits", answer({"items": [LIMIT, full], "next": None}))
    head, first, second = [line.split() for line in run("rate-limits").out.splitlines()]
    assert head == ["OWNER", "KEY", "RATE", "TAKEN", "NEXT", "START"]
    assert first == ["-", "crm/7", "100/1s", "3", "now"]
    assert second[:4] == ["-", "x\\u001b", "100/1s", "3"]
    server.on("PUT /rate-limits/crm%2F7", answer(LIMIT))
    server.on("DELETE /rate-limits/crm%2F7", answer("", 204))
    assert run("rate-limits", "set", "crm/7", "100/1s") == (0, "crm/7: at most 100 starts within 1 s\n", "")
    assert json.loads(run("rate-limits", "set", "crm/7", "100/1s", "--json").out) == LIMIT
    assert run("rate-limits", "clear", "crm/7") == (0, "", "crm/7: no rate limit\n")
    for command in (["set", "crm/7", "100/1s"], ["clear", "crm/7"]):
        assert run("rate-limits", *command, "--owner", "ada").code == 0
        assert server.lines()[-1].endswith(" /rate-limits/crm%2F7?owner=ada")
    run("rate-limits", "--owner", "ada")
    assert server.lines()[-1] == "GET /rate-limits?limit=100&owner=ada"


def test_a_queue_is_given_a_rate_limit_and_freed_of_it(server: ScriptedServer, run: Run) -> None:
    server.on("PATCH /queues/default", answer(QUEUE | {"rate_limit": RATE}))
    ran = run("queues", "rate-limit", "default", "100/1m")
    assert ran.out.endswith("at most 100 starts within 60 s\n")
    assert server.requests[-1].json() == {"rate_limit": RATE}
    run("queues", "rate-limit", "default", "none")
    assert server.requests[-1].json() == {"rate_limit": None}


@pytest.mark.parametrize(
    ("text", "rate"), [("100/1s", (100, 1)), ("100/s", (100, 1)), ("30/1.5m", (30, 90)), ("5/d", (5, 86_400))]
)
def test_a_rate_is_read(text: str, rate: tuple[int, float]) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "100", "/1s", "100/1", "100/1w", "-1/1s", "1e3/s", "100/1s ", "١/s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no rate"):
        parse_rate(text)


def test_a_mistake_is_told_with_exit_code_2(run: Run) -> None:
    ran = run("rate-limits", "set", "k", "often")
    assert (ran.code, ran.out) == (2, "")
    assert "'often' is no rate: write N/WINDOW" in ran.err
