"""Waiting that ends: for a silent database, and at a shutdown."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from jobcore.errors import StoreUnavailable
from jobcore.store import health
from jobcore.store.database import Database
from longrun_api.database import AsyncDatabase, unavailable_after
from longrun_api.shutdown import Shutdown
from tests.waiting import PATIENCE_S


def test_a_database_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/none"
        database = AsyncDatabase(Database(url, name="test", pool_size=1), threads=1, timeout_s=0.2)

        async def run() -> float:
            started_at = time.monotonic()
            with pytest.raises(StoreUnavailable, match=r"within 0\.2 s"):
                await database.call(health.commit)
            return time.monotonic() - started_at

        assert asyncio.run(run()) < PATIENCE_S


def test_a_value_in_time_is_passed_on() -> None:
    async def run() -> int:
        async with unavailable_after(1):
            await asyncio.sleep(0)
            return 7

    assert asyncio.run(run()) == 7


def test_a_shutdown_ends_every_wait_that_began_before_or_after_it() -> None:
    async def run() -> list[str]:
        shutdown = Shutdown()
        ended = []

        async def wait(name: str) -> None:
            with shutdown.interrupts():
                await asyncio.sleep(3600)  # the wait under test
            ended.append(name)

        before = asyncio.create_task(wait("before"))
        await asyncio.sleep(0)
        shutdown.begin()
        await asyncio.wait_for(before, PATIENCE_S)
        await asyncio.wait_for(wait("after"), PATIENCE_S)
        return ended

    assert asyncio.run(run()) == ["before", "after"]
