"""A child never begins more runs beside its main thread than it has places for."""

from __future__ import annotations

import threading

import pytest

from jobcore.worker.room import Room
from tests.waiting import PATIENCE_S


@pytest.mark.parametrize(
    ("size", "taken", "free", "share"),
    [(32, 0, 32, 8), (32, 30, 2, 2), (32, 32, 0, 0), (1, 0, 1, 1), (3, 0, 3, 1), (200, 0, 200, 50)],
)
def test_a_claim_fills_a_quarter_of_the_places_at_most(size: int, taken: int, free: int, share: int) -> None:
    room = Room(size)
    room.take(taken)
    assert (room.free, room.share) == (free, share)


def test_who_waits_for_a_place_goes_on_as_soon_as_a_run_has_ended() -> None:
    room = Room(2)
    room.take(2)
    assert not room.wait_free(0.01)
    threading.Timer(0.05, room.give_back, [1]).start()
    assert room.wait_free(PATIENCE_S)
    assert not room.wait_empty(0.01)
    threading.Timer(0.05, room.give_back, [1]).start()
    assert room.wait_empty(PATIENCE_S)
    assert (room.taken, room.begun) == (0, 2)


def test_runs_that_were_suspected_run_beside_fewer_others_and_at_last_alone() -> None:
    room = Room(40)
    assert room.suspected > 100, "an empty child takes any"
    room.take(1, [1])
    assert (room.free, room.has_suspects, room.suspected) == (9, True, 2)
    room.take(1, [2])
    assert (room.free, room.suspected) == (0, 1)
    room.give_back(1, [2])
    room.give_back(1, [1])
    room.take(1, [3])
    assert room.free == 0, "alone"
    room.give_back(1, [3])
    assert (room.free, room.has_suspects) == (40, False)


@pytest.mark.parametrize(("taken", "suspected"), [(1, 2), (2, 1), (9, 1), (10, 0), (39, 0)])
def test_a_child_with_many_runs_takes_no_suspect(taken: int, suspected: int) -> None:
    room = Room(40)
    room.take(taken)
    assert room.suspected == suspected
