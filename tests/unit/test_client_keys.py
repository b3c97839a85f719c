"""API keys in both clients and on the command line, against a scripted server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from longrun_client import AsyncLongrun, InvalidKey, Longrun, ProblemError
from longrun_client.server import Server
from tests.unit.client_server import AT, ScriptedServer, answer, problem
from tests.unit.conftest import Run

SECRET = "lr_abcdefghijkl_secret"  # a key of no server
KEY = {"id": "abcdefghijkl", "name": "nightly", "owner": "ada", "scopes": ["read"], "created_at": AT}
NEW = KEY | {"key": "lr_new_one"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer() as scripted:
        monkeypatch.setenv("LONGRUN_URL", scripted.url)
        monkeypatch.delenv("LONGRUN_API_KEY", raising=False)
        scripted.on("GET /keys", answer({"items": [KEY], "next": None}))
        scripted.on("GET /keys/abcdefghijkl", answer(KEY))
        scripted.on("POST /keys", answer(NEW, 201))
        scripted.on("POST /keys/abcdefghijkl/rotate", answer(NEW, 201))
        scripted.on("DELETE /keys/abcdefghijkl", answer(KEY | {"revoked_at": AT}))
        yield scripted


def sent(server: ScriptedServer) -> str | None:
    headers = {name.lower(): value for name, value in server.requests[-1].headers.items()}
    return headers.get("authorization")


def test_both_clients_send_the_key_they_were_given_or_that_of_the_environment(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(key: str | None) -> None:
        async with AsyncLongrun(server.url, api_key=key) as client:
            await client.api_key("abcdefghijkl")

    for in_environment, given, expected in (
        (None, None, None),
        (None, SECRET, f"Bearer {SECRET}"),
        ("lr_other\n", None, "Bearer lr_other"),
        ("lr_other", SECRET, f"Bearer {SECRET}"),
    ):
        if in_environment:
            monkeypatch.setenv("LONGRUN_API_KEY", in_environment)
        with Longrun(server.url, api_key=given) as client:
            client.api_key("abcdefghijkl")
        assert sent(server) == expected
        asyncio.run(ask(given))
        assert sent(server) == expected


def test_a_malformed_key_is_refused_without_being_shown() -> None:
    with pytest.raises(InvalidKey) as raised:
        Longrun(api_key="top secret")
    assert "secret" not in str(raised.value)
    assert SECRET not in repr(Server.at("http://x", 1, 1, SECRET))


@pytest.mark.parametrize(("status", "advice"), [(401, "set LONGRUN_API_KEY"), (403, "longrun keys create")])
def test_a_refusal_says_what_to_do_and_not_the_key(server: ScriptedServer, status: int, advice: str) -> None:
    server.on("GET /workers", problem(status, "No", "not you"))
    with Longrun(server.url, api_key=SECRET) as client, pytest.raises(ProblemError) as raised:
        client.workers()
    assert advice in str(raised.value)
    assert SECRET not in str(raised.value)


def test_the_audit_log_says_who_changed_what(server: ScriptedServer, run: Run) -> None:
    entry = {"id": 7, "at": AT, "actor": "abcdefghijkl", "address": "10.0.0.7", "act": "change_queue", "kind": "queue"}
    change = {
        "subject": "slow",
        "before": {"paused": False, "max_running": 1},
        "after": {"paused": True, "max_running": 1},
    }
    server.on("GET /audit-log", answer({"items": [entry | change], "next": None}))
    with Longrun(server.url) as client:
        assert [each.subject for each in client.audit_log(actor="abcdefghijkl")] == ["slow"]

    async def ask() -> list[str]:
        async with AsyncLongrun(server.url) as client:
            return [each.act async for each in client.audit_log(subject="slow", owner="ada")]

    assert asyncio.run(ask()) == ["change_queue"]
    assert "subject=slow" in server.requests[-1].line
    assert "paused false -> true" in " ".join(run("audit-log").out.split())
    assert json.loads(run("audit-log", "--actor", "abcdefghijkl", "--limit", "1", "--json").out)["id"] == 7


def test_keys_are_made_listed_rotated_and_revoked(server: ScriptedServer, run: Run) -> None:
    with Longrun(server.url) as client:
        assert [key.id for key in client.api_keys()] == ["abcdefghijkl"]
        made = client.create_key("nightly", ["read"], owner="ada", expires_in_s=60)
        assert made.key == "lr_new_one"
        assert "lr_new_one" not in repr(made)
        assert server.requests[-1].json() == {"name": "nightly", "scopes": ["read"], "owner": "ada", "expires_in_s": 60}
        assert client.rotate_key("abcdefghijkl", overlap_s=5).key == "lr_new_one"
        assert client.revoke_key("abcdefghijkl").revoked_at is not None

    async def check() -> None:
        async with AsyncLongrun(server.url) as other:
            assert [key.id async for key in other.api_keys()] == ["abcdefghijkl"]
            assert (await other.create_key("nightly", ["read"])).key == "lr_new_one"
            assert (await other.rotate_key("abcdefghijkl")).key == "lr_new_one"
            assert (await other.revoke_key("abcdefghijkl")).revoked_at is not None

    asyncio.run(check())


def test_the_command_prints_a_new_key_alone_on_stdout(server: ScriptedServer, run: Run) -> None:
    made = run("keys", "create", "nightly", "--scope", "read", "--days", "1")
    assert made.out == "lr_new_one\n"
    assert server.requests[-1].json()["expires_in_s"] == 86_400
    assert run("keys", "rotate", "abcdefghijkl", "--overlap-s", "60").out == "lr_new_one\n"
    assert "nightly" in run("keys").out
    assert json.loads(run("keys", "show", "abcdefghijkl", "--json").out)["owner"] == "ada"
    assert "revoked" in run("keys", "revoke", "abcdefghijkl").err
