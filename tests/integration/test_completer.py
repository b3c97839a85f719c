"""The completer on a real PostgreSQL: what it was given is stored, also if PostgreSQL goes away in between."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobcore.admission.limits import Limits
from jobcore.broker.event_publisher import EventPublisher
from jobcore.errors import StoreUnavailable
from jobcore.models import Claim, Outcome
from jobcore.settings import WorkerSettings
from jobcore.states import Status
from jobcore.store import cancellations
from jobcore.supervision.child_state import RunKey
from jobcore.worker.completer import Completer
from jobcore.worker.outcome_store import Completion, OutcomeStore
from tests.integration.store.world import World


class Completed:
    """A completer that is running, and what it reported."""

    def __init__(self, world: World, settings: WorkerSettings) -> None:
        self.world = world
        self.keys: list[RunKey] = []
        self.queues: list[str] = []
        store = OutcomeStore(world.db, EventPublisher(settings.redis), settings)
        limits = Limits(world.db, lambda queue, count: None)
        self.completer = Completer(store, limits, self.keys.extend, self.queues.append)
        self.completer.start()


@pytest.fixture
def completed(database_url: str, redis_url: str) -> Iterator[Completed]:
    settings = WorkerSettings(DATABASE_URL=database_url, REDIS_URL=redis_url)
    with World(database_url) as world:
        running = Completed(world, settings)
        yield running
        running.completer.stop()


def lose_once(world: World, monkeypatch: pytest.MonkeyPatch, lost: Callable[..., Any]) -> None:
    """Let PostgreSQL be unavailable for the first call of this store function."""
    call = world.db.call
    pending = [lost]

    def sometimes(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if function in pending:
            pending.remove(function)
            raise StoreUnavailable("the connection broke")
        return call(function, *args, **kwargs)

    monkeypatch.setattr(world.db, "call", sometimes)
    monkeypatch.setattr("jobcore.worker.completer.RETRY_S", 0.01)


def receipt(world: World, key: RunKey) -> tuple[bool, object]:
    row = world.row(key.id)
    return row["cancel_stopped_at"] is not None, row["cancel_method"]


def test_the_receipt_of_a_hand_back_is_complete_after_an_outage(
    completed: Completed, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = completed.world.running()
    completed.world.cancel(claim.id)
    lose_once(completed.world, monkeypatch, cancellations.complete)
    completed.completer.hand_back(claim)
    completed.completer.flush()
    key = RunKey(claim.id, claim.fence)
    assert receipt(completed.world, key) == (True, "cooperative")
    assert (completed.keys, completed.queues) == ([key], [claim.queue])


def test_the_receipt_of_an_outcome_is_complete_after_an_outage(
    completed: Completed, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = completed.world.running()
    completed.world.cancel(claim.id)
    lose_once(completed.world, monkeypatch, cancellations.complete)
    outcome = Outcome(claim.id, claim.fence, Status.SUCCESS, result=1)
    completed.completer.finish(Completion(outcome, "signal", None))
    completed.completer.flush()
    key = RunKey(claim.id, claim.fence)
    assert receipt(completed.world, key) == (True, "signal")
    assert completed.keys == [key]
    assert completed.world.status(claim.id) is Status.CANCELLED


def finish(completed: Completed, claim: Claim) -> None:
    outcome = Outcome(claim.id, claim.fence, Status.SUCCESS, result=1)
    completed.completer.finish(Completion(outcome, "finished", None))


def test_the_outcomes_of_a_batch_that_is_run_quickly_are_stored_in_one_transaction(
    completed: Completed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobcore.worker.completer.GATHER_S", 60.0)
    monkeypatch.setattr("jobcore.worker.completer.HAND_BACK_S", 60.0)
    batch = deque(completed.world.running() for _ in range(3))
    claims = list(batch)
    completed.completer.watch(batch)
    while batch:
        finish(completed, batch.popleft())
    completed.completer.flush()
    assert len({completed.world.row(claim.id)["finished_at"] for claim in claims}) == 1


def test_an_outcome_does_not_wait_for_the_rest_of_a_batch_that_takes_its_time(
    completed: Completed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobcore.worker.completer.HAND_BACK_S", 60.0)
    first, second = completed.world.running(), completed.world.running()
    completed.completer.watch(deque([second]))
    finish(completed, first)
    completed.completer.flush()
    assert completed.world.status(first.id) is Status.SUCCESS
