"""How a process keeps what it knows of keys true: it looks again, notes their use, and outlasts an outage."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from jobcore.errors import StoreUnavailable
from jobcore.models.api_keys import KeyDigest, NewApiKey, new_key
from jobcore.models.caller import Caller, Scope
from jobcore.store import api_keys
from jobcore.store.database import Database
from longrun_api.auth import grants as grants_module
from longrun_api.auth.authenticator import Authenticator
from longrun_api.auth.grants import FRESH_S, Grants
from longrun_api.auth.key_checks import OUTAGE_S, KeyChecks
from longrun_api.auth.refusals import Unauthenticated
from longrun_api.auth.sessions import COOKIE, SESSION_S, Sessions
from longrun_api.auth.stream_tokens import stream_tokens
from longrun_api.auth.sweep import IDLE_S, Sweep
from longrun_api.database import AsyncDatabase
from tests.integration.store.world import World


class Desk:
    """The parts that recognise callers, on a database that can go away."""

    def __init__(self, world: World) -> None:
        self.grants = Grants()
        self.there = AsyncDatabase(world.db, 4, 30)
        gone = AsyncDatabase(
            Database("postgresql://longrun:longrun@127.0.0.1:9/longrun", name="gone", timeout_s=2), 4, 2
        )
        self.checks = KeyChecks(self.grants, self.there, 30)
        self.without = KeyChecks(self.grants, gone, 2)
        self.sessions = Sessions(self.grants, self.there)
        self.sweep_without = Sweep(self.grants, Sessions(self.grants, gone), self.without)

    async def ask(self, key: str, *, outage: bool = False) -> grants_module.Grant:
        header = (b"authorization", f"Bearer {key}".encode())
        return await self._grant("/tasks", header, self.without if outage else self.checks)

    async def show(self, session: str) -> grants_module.Grant:
        return await self._grant("/console/jobs", (b"cookie", f"{COOKIE}={session}".encode()), self.checks)

    async def _grant(self, path: str, header: tuple[bytes, bytes], checks: KeyChecks) -> grants_module.Grant:
        asked = {"path": path, "headers": [header], "query_string": b"", "method": "GET"}
        return await Authenticator(self.grants, stream_tokens(self.there), self.sessions, keys=checks).grant(asked)


def stored(world: World, **fields: object) -> str:
    key = new_key()
    digest = KeyDigest.of(key)
    assert digest is not None
    world.call(api_keys.add, NewApiKey(digest, "test", "ada", frozenset({Scope.READ}), **fields))  # type: ignore[arg-type]
    return key


def run(world: World, story: Callable[[Desk], Awaitable[None]]) -> None:
    async def told() -> None:
        await story(Desk(world))

    asyncio.run(told())


def test_a_session_that_was_ended_is_refused_by_every_process_and_no_other_one_is(world: World) -> None:
    key = stored(world)

    async def story(here: Desk) -> None:
        there = Desk(world)
        first, second = [await here.sessions.begin(await here.ask(key)) for _ in range(2)]
        for desk in (here, there):
            known = [await desk.show(session) for session in (first, second)]
            assert known == [await desk.show(session) for session in (first, second)]  # without another look
        await here.sessions.end(first)
        await there.sessions.check()
        for desk in (here, there, Desk(world)):
            with pytest.raises(Unauthenticated):
                await desk.show(first)
            assert (await desk.show(second)).caller.owner == "ada"

    run(world, story)


def test_a_session_ends_at_its_time_however_long_its_key_lasts(world: World) -> None:
    key = stored(world)

    async def story(desk: Desk) -> None:
        grant = await desk.show(await desk.sessions.begin(await desk.ask(key)))
        await desk.checks.check()
        assert grant.until <= time.time() + SESSION_S

    run(world, story)


def test_a_known_key_needs_no_look_into_the_database_until_it_is_stale(world: World) -> None:
    key = stored(world)

    async def story(desk: Desk) -> None:
        grant = await desk.ask(key)
        assert grant.caller == Caller("ada", frozenset({Scope.READ}), grant.key_id or "")
        assert await desk.ask(key, outage=True) is grant
        grant.checked_at -= FRESH_S
        with pytest.raises(StoreUnavailable):  # not a 401: nobody knows
            await desk.ask(key, outage=True)
        assert await desk.ask(key) is grant

    run(world, story)


def test_a_key_that_was_revoked_expired_or_changed_is_noticed_by_the_next_check(world: World) -> None:
    key, short = stored(world), stored(world, expires_at=datetime.now(UTC) + timedelta(hours=1))

    async def story(desk: Desk) -> None:
        for each, change in (
            (key, "scopes = ARRAY['submit'], owner = 'grace'"),
            (short, "expires_at = now()"),
        ):
            grant = await desk.ask(each)
            assert grant.key_id is not None
            await desk.there.call(
                lambda connection, what, key_id: connection.exec_driver_sql(
                    f"UPDATE api_keys SET {what} WHERE id = '{key_id}'"
                ),
                change,
                grant.key_id,
            )
        await desk.checks.check()
        assert (await desk.ask(key)).caller.owner == "grace"
        with pytest.raises(Unauthenticated):
            await desk.ask(short)

    run(world, story)


def test_an_open_request_outlasts_a_short_outage_and_not_a_long_one(world: World) -> None:
    key = stored(world)
    resets = []

    class Transport:
        def get_extra_info(self, name: str) -> None:
            return None

        def abort(self) -> None:
            resets.append(self)

    class Connection:
        transport = Transport()

        async def receive(self) -> dict[str, object]:
            return {}

    async def story(desk: Desk) -> None:
        grant = await desk.ask(key)
        await desk.show(await desk.sessions.begin(grant))  # nobody can say whether it was ended either
        grant.open.add(Connection().receive)
        await desk.sweep_without.check()
        assert not resets
        grant.checked_at -= OUTAGE_S
        await desk.sweep_without.check()
        assert len(resets) == 1

    run(world, story)


def test_the_last_use_is_stored_but_not_with_each_request(world: World) -> None:
    key = stored(world)
    digest = KeyDigest.of(key)
    assert digest is not None

    async def story(desk: Desk) -> None:
        noted = []
        for _ in range(2):
            await desk.ask(key)
            await desk.checks.check()
            found = await desk.there.call(api_keys.find, digest.id)
            assert found is not None
            noted.append(found.last_used_at)
        assert noted[0] is not None
        assert noted[1] == noted[0]

    run(world, story)


def test_a_key_without_requests_is_forgotten_and_one_with_an_open_request_is_not(world: World) -> None:
    idle, busy = stored(world), stored(world)

    async def story(desk: Desk) -> None:
        await desk.ask(idle)
        (await desk.ask(busy)).open.add(asyncio.sleep)  # type: ignore[arg-type]
        for _, grant in desk.grants.all():
            grant.used_at = time.time() - 3600
        desk.grants.forget_unused(IDLE_S)
        await desk.checks.check()
        assert [bool(grant.open) for _, grant in desk.grants.all()] == [True]

    run(world, story)


def test_guessed_keys_leave_nothing_behind(world: World) -> None:
    async def story(desk: Desk) -> None:
        for _ in range(100):
            with pytest.raises(Unauthenticated):
                await desk.ask(new_key())
        assert not list(desk.grants.all())

    run(world, story)


def test_the_secret_is_compared_in_constant_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    key, compared = stored(world), []
    right = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append({one, other})
        return right(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    run(world, lambda desk: desk.ask(key))  # type: ignore[arg-type, return-value]
    assert compared == [{hashlib.sha256(key.encode()).digest()}]
