"""Claims of jobs that run beside each other: as many as there is room for, in order of rank."""

from __future__ import annotations

import pytest

from tests.integration.store.world import World

TYPES = ("wait", "quick_wait", "quick", "slow")
BACKGROUND = ("wait", "quick_wait")
QUICK = ("quick_wait", "quick")


def claimed(world: World, waiting: list[str], *, limit: int = 3, room: int = 2, types: tuple[str, ...] = TYPES) -> int:
    """How many of these jobs one claim takes; it takes the first ones."""
    ids = [world.insert(task_type=task_type) for task_type in waiting]
    worker = world.worker(types=types)
    taken = world.take(worker, limit, types=types, quick=QUICK, background=BACKGROUND, room=room)
    assert [claim.id for claim in sorted(taken, key=lambda claim: ids.index(claim.id))] == ids[: len(taken)]
    return len(taken)


@pytest.mark.parametrize(
    ("waiting", "count"),
    [
        (["wait"] * 4, 2),
        (["wait", "slow"], 1),
        (["slow", "wait"], 1),
        (["wait", "quick", "quick", "wait"], 3),
        (["wait", "wait", "wait", "quick"], 2),
        (["quick_wait"] * 5, 3),
        (["quick"] * 5, 3),
        (["quick", "wait", "wait", "wait"], 3),
    ],
)
def test_a_claim_takes_no_more_background_jobs_than_there_is_room_for(
    world: World, waiting: list[str], count: int
) -> None:
    assert claimed(world, waiting) == count


def test_a_share_larger_than_the_batch_of_quick_jobs_is_used_up(world: World) -> None:
    assert claimed(world, ["wait"] * 9, limit=1, room=8) == 8


def test_jobs_behind_one_of_an_unknown_type_are_claimed_up_to_the_room(world: World) -> None:
    unknown = world.insert(task_type="unknown", priority=9)
    assert claimed(world, ["wait"] * 4, limit=1, room=3) == 3
    assert world.row(unknown)["status"] == "PENDING"


def test_a_limit_of_the_queue_bounds_a_claim_of_background_jobs(world: World) -> None:
    world.limit_queue(3)
    assert claimed(world, ["wait"] * 9, limit=1, room=8) == 3
