"""Warnings about queues that nobody serves: what was read lately, and nothing before that or long after."""

from __future__ import annotations

import time
from typing import Any, cast

import anyio
import pytest

from jobcore.errors import StoreUnavailable
from jobcore.store.served import Served
from longrun_api.database import AsyncDatabase
from longrun_api.served_queues import STALE_S, STARTING_S, ServedQueues


class FakeDatabase:
    """Answers as if these types were served; None: it is away."""

    served: Served | None = Served({"a": frozenset({"echo"})})

    async def call(self, _function: Any) -> Served:
        if self.served is None:
            raise StoreUnavailable("away")
        return self.served


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def causes(queues: ServedQueues, queue: str, task_type: str = "echo") -> list[str]:
    return [warning["cause"] for warning in queues.warnings(queue, task_type)]


def test_warnings_follow_the_latest_read_once_the_process_has_started(clock: list[float]) -> None:
    database = FakeDatabase()
    queues = ServedQueues(cast(AsyncDatabase, database))
    anyio.run(queues.refresh)
    assert causes(queues, "b") == [], "its workers may be starting too"
    clock[0] += STARTING_S
    assert causes(queues, "b") == [], "the read is too old"
    anyio.run(queues.refresh)
    assert causes(queues, "b") == ["queue_not_served"]
    assert causes(queues, "a", "sleep") == ["task_type_unknown"]
    assert causes(queues, "a") == []
    database.served = Served({})
    anyio.run(queues.refresh)
    assert causes(queues, "a") == ["queue_not_served"]


def test_what_was_read_long_ago_says_nothing(clock: list[float]) -> None:
    database = FakeDatabase()
    queues = ServedQueues(cast(AsyncDatabase, database))
    clock[0] += STARTING_S
    anyio.run(queues.refresh)
    assert causes(queues, "b") == ["queue_not_served"]
    database.served = None
    with pytest.raises(StoreUnavailable):
        anyio.run(queues.refresh)
    clock[0] += STALE_S + 1
    assert causes(queues, "b") == []
