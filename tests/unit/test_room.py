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
