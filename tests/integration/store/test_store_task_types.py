"""Published task types: who keeps them, and when they are forgotten."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobcore.store import task_types
from jobcore.tasks import load_tasks
from tests.integration.store.world import World

ECHO = load_tasks().get("echo")
MOVED = replace(ECHO, queue="another")
OTHER = replace(ECHO, name="other")


def age(world: World, interval: str) -> None:
    """Let time pass since every type was seen."""
    world.sql("UPDATE task_types SET seen_at = now() - CAST(:age AS interval) RETURNING name", age=interval)


def queues(world: World) -> dict[str, str]:
    """The published types and their queues."""
    return {row["name"]: row["queue"] for row in world.sql("SELECT name, queue FROM task_types")}


def seen_now(world: World) -> bool:
    [row] = world.sql("SELECT seen_at > now() - interval '1 minute' AS now FROM task_types")
    return bool(row["now"])


def test_an_api_keeps_its_type_and_does_not_undo_a_later_version_of_it(world: World) -> None:
    world.call(task_types.publish, [MOVED])
    age(world, "2 hours")
    world.call(task_types.see, [ECHO])
    assert (queues(world), seen_now(world)) == ({"echo": "another"}, True)


def test_a_type_is_written_at_most_once_an_hour(world: World) -> None:
    world.call(task_types.publish, [ECHO])
    age(world, "50 minutes")
    world.call(task_types.see, [ECHO])
    assert not seen_now(world)


def test_a_type_that_was_forgotten_is_there_again_once_an_api_says_that_it_accepts_it(world: World) -> None:
    world.call(task_types.see, [ECHO, OTHER])
    assert queues(world).keys() == {"echo", "other"}


def test_to_publish_a_type_again_is_to_see_it(world: World) -> None:
    world.call(task_types.publish, [ECHO])
    age(world, "8 days")
    world.call(task_types.publish, [ECHO])
    assert (world.call(task_types.forget), seen_now(world)) == (0, True)


@pytest.mark.parametrize(("interval", "forgotten"), [("6 days", 0), ("8 days", 1)])
def test_a_type_that_nobody_knows_is_forgotten_after_seven_days(world: World, interval: str, forgotten: int) -> None:
    world.call(task_types.publish, [ECHO])
    age(world, interval)
    assert world.call(task_types.forget) == forgotten
    assert len(queues(world)) == 1 - forgotten


@pytest.mark.parametrize("state", ["active", "draining", "dead"])
def test_a_type_is_kept_while_a_worker_that_lives_knows_it(world: World, state: str) -> None:
    world.call(task_types.publish, [ECHO, OTHER])
    age(world, "8 days")
    world.worker(types=["echo"])
    world.sql("UPDATE workers SET state = :state RETURNING id", state=state)
    world.call(task_types.forget)
    assert queues(world).keys() == (set() if state == "dead" else {"echo"})


def test_a_worker_that_has_not_said_what_it_knows_keeps_every_type(world: World) -> None:
    world.call(task_types.publish, [ECHO])
    age(world, "8 days")
    world.worker(types=None)
    assert world.call(task_types.forget) == 0
