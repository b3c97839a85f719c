"""The events of a job: appended under the run's fence, read by one cursor."""

from __future__ import annotations

import pytest

from jobcore.models import NewEvent
from jobcore.states import Status
from jobcore.store import events
from jobcore.store.database import RowRefused
from tests.integration.appending import append_events
from tests.integration.store.world import LOST, World

LOG = NewEvent("log", {"level": "info", "message": "hello"})


def test_appended_events_get_the_next_places_in_their_order(world: World) -> None:
    claim = world.running()
    new = [NewEvent("log", {"n": number}, age_s=3.0 - number) for number in range(3)]
    appended = world.call(append_events, claim.id, claim.fence, new)
    assert appended is not None
    assert appended.last_seq == 5
    stored = world.call(events.after, claim.id, 2)
    assert [(event.seq, event.kind, event.attempt, event.data) for event in stored] == [
        (3, "log", 1, {"n": 0}),
        (4, "log", 1, {"n": 1}),
        (5, "log", 1, {"n": 2}),
    ]
    assert [(appended.at - event.at).total_seconds() for event in stored] == pytest.approx([3.0, 2.0, 1.0])


def test_progress_and_checkpoint_are_kept_until_the_next(world: World) -> None:
    claim = world.running()
    world.call(append_events, claim.id, claim.fence, [LOG], progress={"done": 1}, checkpoint='{"at": [1]}')
    world.call(append_events, claim.id, claim.fence, [LOG])
    row = world.row(claim.id)
    assert (row["progress"], row["checkpoint"], row["last_seq"]) == ({"done": 1}, {"at": [1]}, 4)


@pytest.mark.parametrize("end", LOST)
def test_a_run_that_lost_its_claim_appends_nothing(world: World, end: str) -> None:
    claim = world.running()
    world.lose(claim, end)
    before = world.row(claim.id), world.events(claim.id)
    assert world.call(append_events, claim.id, claim.fence, [LOG], progress={}, checkpoint="{}") is None
    assert (world.row(claim.id), world.events(claim.id)) == before


def test_an_unstorable_event_is_refused_with_all_that_came_with_it(world: World) -> None:
    claim = world.running()
    before = world.row(claim.id)
    with pytest.raises(RowRefused):
        world.call(append_events, claim.id, claim.fence, [LOG, NewEvent("log", {"message": "\0"})])
    with pytest.raises(RowRefused):
        world.call(append_events, claim.id, claim.fence, [LOG, NewEvent("gossip", {})])
    assert world.row(claim.id) == before
    assert len(world.events(claim.id)) == 2


def test_a_cursor_reads_on_where_it_stopped(world: World) -> None:
    claim = world.running()
    world.call(append_events, claim.id, claim.fence, [LOG] * 8)
    read: list[int | None] = []
    while page := world.call(events.after, claim.id, read[-1] or 0 if read else 0, 3):
        read += [event.seq for event in page]
    assert read == list(range(1, 11))
    assert world.call(events.after, world.insert(), 1) == []


def test_logs_are_the_log_lines_alone(world: World) -> None:
    claim = world.running()
    world.call(append_events, claim.id, claim.fence, [LOG, NewEvent("progress", {"done": 1}), LOG])
    assert [event.seq for event in world.call(events.logs, claim.id, 0, 10)] == [3, 5]
    assert [event.seq for event in world.call(events.logs, claim.id, 3, 10)] == [5]
    assert [event.seq for event in world.call(events.logs, claim.id, 0, 1)] == [3]


def test_output_is_the_pieces_alone_and_its_size_is_known_to_the_next_claim(world: World) -> None:
    piece = NewEvent("output", {"name": "row", "data": 1e16})
    worker = world.worker()
    claim = world.running(worker)
    assert claim.output_bytes == 0
    world.call(append_events, claim.id, claim.fence, [LOG, piece], output_bytes=300)
    world.finish(claim, Status.PENDING, retry_s=0.0, events=(piece,), output_bytes=70)
    found = world.call(events.output, claim.id, 0, 10)
    assert [(event.seq, event.data) for event in found] == [(4, piece.data), (5, piece.data)]
    assert [event.seq for event in world.call(events.output, claim.id, 4, 10)] == [5]
    [claim] = world.take(worker)
    assert claim.output_bytes == 370


def test_all_events_are_read_in_order_with_the_attempt_of_each_event(world: World) -> None:
    worker = world.worker()
    claim = world.running(worker)
    world.call(append_events, claim.id, claim.fence, [LOG])
    world.release(claim, "crash")
    [claim] = world.take(worker)
    world.finish(claim, Status.PENDING, retry_s=0.0)
    [claim] = world.take(worker)
    world.finish(claim, events=(LOG,))
    told = [(event.attempt, event.data.get("status", event.kind)) for event in world.events(claim.id)]
    assert told == [
        (0, "PENDING"),
        (1, "RUNNING"),
        (1, "log"),
        (1, "PENDING"),
        (2, "RUNNING"),
        (2, "PENDING"),
        (3, "RUNNING"),
        (3, "log"),
        (3, "SUCCESS"),
    ]
    assert world.check_ending(claim.id) == [Status.SUCCESS]
