"""The events of many runs are stored in one commit, each once, and none is lost to another one that is refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobcore.broker.event_publisher import EventPublisher
from jobcore.errors import StoreUnavailable
from jobcore.models import Event, Outcome
from jobcore.settings import WorkerSettings
from jobcore.states import Status
from jobcore.store import appends, events
from jobcore.store.database import Database
from jobcore.supervision.slots import Slots
from jobcore.worker.event_buffer import BATCH_MAX
from jobcore.worker.event_flush import flush
from jobcore.worker.outcome_store import Completion, OutcomeStore
from jobcore.worker.output import Piece
from jobcore.worker.run_store import RunStore
from tests.integration.store.world import World

REFUSES = "refuse me"
REFUSE = f"""
CREATE FUNCTION refuse_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.data ->> 'data' = '{REFUSES}' THEN RAISE check_violation USING MESSAGE = 'not this one'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON job_events FOR EACH ROW EXECUTE FUNCTION refuse_row();
SELECT 1
"""


class Stage:
    """Runs on a real PostgreSQL, whose replies a test can lose."""

    def __init__(self, world: World, settings: WorkerSettings) -> None:
        self.world = world
        self.published: list[Event] = []
        self.outcomes = OutcomeStore(world.db, EventPublisher(settings.redis), settings)
        self._slot = Slots(1, os.getpid())[0]

    def run(self) -> RunStore:
        """A run that has just begun."""
        claim = self.world.running()
        return RunStore(claim, self._slot, self.world.db, lambda _: None, self.published.append)

    def output(self, run: RunStore) -> list[Any]:
        """The stored output of a run's job."""
        found = self.world.call(events.output, run.key.id, 0, 100_000)
        return [event.data["data"] for event in found]

    def finish(self, run: RunStore) -> None:
        """Store that the run succeeded, with its last events."""
        last = run.take_last()
        outcome = Outcome(*run.key, Status.SUCCESS, result=1, events=last.events, output_bytes=last.output_bytes)
        self.outcomes.finish([Completion(outcome, "finished", None, run)])


@pytest.fixture
def stage(database_url: str, redis_url: str) -> Iterator[Stage]:
    settings = WorkerSettings(DATABASE_URL=database_url, REDIS_URL=redis_url)
    with World(database_url) as world:
        yield Stage(world, settings)


@pytest.fixture
def lose(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Loses the request of the next append, or the reply to it after PostgreSQL has committed."""
    pending: list[str] = []
    call = Database.call

    def losing(self: Database, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        what = pending.pop() if function is appends.append and pending else None
        if what == "request":
            raise StoreUnavailable("the connection broke")
        found = call(self, function, *args, **kwargs)
        if what == "reply":
            raise StoreUnavailable("the connection broke")
        return found

    monkeypatch.setattr(Database, "call", losing)
    return pending.append


def emit(run: RunStore, *values: Any) -> None:
    for value in values:
        run.buffer.add_output(Piece.of("value", value))


def test_what_many_runs_say_is_stored_in_one_commit(stage: Stage) -> None:
    runs = [stage.run() for _ in range(20)]
    for number, run in enumerate(runs):
        emit(run, number, -number)
    assert flush(stage.world.db.call, runs) == []
    assert [stage.output(run) for run in runs] == [[number, -number] for number in range(20)]
    commits = "SELECT count(DISTINCT xmin::text::bigint) AS commits FROM job_events WHERE kind = 'output'"
    assert stage.world.sql(commits)[0]["commits"] == 1
    assert len(stage.published) == 40


def test_the_state_of_a_checkpoint_is_in_the_row_alone_and_its_event_has_the_size(stage: Stage) -> None:
    run = stage.run()
    run.checkpoint('{"page": 1, "seen": ["Ä"]}')
    assert stage.world.row(run.key.id)["checkpoint"] == {"page": 1, "seen": ["Ä"]}
    [stored] = [event.data for event in stage.world.events(run.key.id) if event.kind == "checkpoint"]
    [streamed] = [event.data for event in stage.published if event.kind == "checkpoint"]
    assert stored == streamed == {"bytes": 27}


@pytest.mark.parametrize("by", ["flush", "outcome", "itself", "hand-back"])
def test_what_is_too_much_for_one_statement_is_stored_in_several(stage: Stage, by: str) -> None:
    run = stage.run()
    emit(run, *range(2 * BATCH_MAX + 1))
    if by == "flush":
        while flush(stage.world.db.call, [run]):
            pass
    elif by == "outcome":
        stage.finish(run)
    elif by == "itself":
        run.checkpoint("1")
    else:
        run.store_last()
    assert stage.output(run) == list(range(2 * BATCH_MAX + 1))


def test_a_run_that_stores_its_events_itself_holds_up_no_other(stage: Stage) -> None:
    busy, free = stage.run(), stage.run()
    emit(busy, 1)
    emit(free, 2)
    busy.order = _Taken()  # type: ignore[assignment]
    assert flush(stage.world.db.call, [busy, free]) == [busy]
    assert (stage.output(busy), stage.output(free)) == ([], [2])


class _Taken:
    """The lock of a run that another thread has."""

    def acquire(self, *, blocking: bool) -> bool:
        assert not blocking
        return False


def test_a_run_that_lost_its_claim_is_told_and_costs_the_others_nothing(stage: Stage) -> None:
    lost, other = stage.run(), stage.run()
    stage.world.cancel(lost.key.id)
    emit(lost, 1)
    emit(other, 2)
    flush(stage.world.db.call, [lost, other])
    assert (lost.should_stop, other.should_stop) == (True, False)
    assert (stage.output(lost), stage.output(other)) == ([], [2])


@pytest.mark.parametrize("what", ["request", "reply"])
@pytest.mark.parametrize("again", ["flush", "outcome"])
def test_what_was_sent_while_the_connection_broke_is_stored_once(
    stage: Stage, lose: Callable[[str], None], what: str, again: str
) -> None:
    runs = [stage.run(), stage.run()]
    for run in runs:
        emit(run, 1, 2)
    lose(what)
    with pytest.raises(StoreUnavailable):
        flush(stage.world.db.call, runs)
    for run in runs:
        emit(run, 3)
        if again == "outcome":
            stage.finish(run)
    if again == "flush":
        flush(stage.world.db.call, runs)
        flush(stage.world.db.call, runs)
    assert [stage.output(run) for run in runs] == [[1, 2, 3]] * 2
    counted = stage.world.row(runs[0].key.id)["output_bytes"]
    assert counted == 3 * Piece.of("value", 1).size


def test_one_event_that_postgres_refuses_costs_no_other_event_of_any_run(stage: Stage) -> None:
    stage.world.sql(REFUSE)
    runs = [stage.run() for _ in range(3)]
    for run in runs:
        emit(run, 1, 2)
    emit(runs[1], REFUSES, 3)
    for run in runs:
        emit(run, 4)
    flush(stage.world.db.call, runs)
    assert [stage.output(run) for run in runs] == [[1, 2, 4], [1, 2, 3, 4], [1, 2, 4]]


@pytest.mark.parametrize("when", ["before the outcome", "with the outcome"])
def test_a_run_whose_output_postgres_refused_does_not_succeed_and_keeps_the_rest(stage: Stage, when: str) -> None:
    stage.world.sql(REFUSE)
    run = stage.run()
    emit(run, 1, REFUSES, 2)
    if when == "before the outcome":
        run.store_now()
    stage.finish(run)
    row = stage.world.row(run.key.id)
    assert (row["status"], row["error"]["kind"], row["result"]) == ("FAILED", "invalid", None)
    assert "PostgreSQL cannot store a piece of the output" in row["error"]["message"]
    assert stage.output(run) == [1, 2]
    [line] = [event.data["message"] for event in stage.world.events(run.key.id) if event.kind == "log"]
    assert "this job's output event could not be stored" in line
    assert stage.world.check_ending(run.key.id) == [Status.FAILED]
