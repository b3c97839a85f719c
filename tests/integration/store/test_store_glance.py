"""A keeper's glance: who leads, and that it sees whatever a keeper's step would do something about."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from jobcore.store import glance, queues
from jobcore.store.glance import Glance
from tests.integration.store.world import World, race

TTL_S = 10.0
ME = uuid7()


def look(world: World, me: UUID = ME) -> Glance:
    return world.call(glance.look, me, TTL_S)


def test_one_keeper_leads_until_its_lease_is_over(world: World) -> None:
    other = uuid7()
    assert 0 < look(world).leads_s <= TTL_S
    assert look(world, other).leads_s == 0
    world.sql("UPDATE keeper_lease SET expires_at = now() - interval '1 s' RETURNING holder")
    assert look(world, other).leads_s > 0
    assert look(world).leads_s == 0


def test_one_of_many_concurrent_keepers_leads(world: World) -> None:
    for _ in range(40):
        keepers = [uuid7() for _ in range(5)]
        leads = [seen.leads_s > 0 for seen in race(*[partial(look, world, keeper) for keeper in keepers])]
        assert sum(leads) == 1
        assert [look(world, keeper).leads_s > 0 for keeper in keepers] == leads
        world.sql("UPDATE keeper_lease SET expires_at = now() - interval '1 s' RETURNING holder")


def test_the_lease_is_renewed_once_half_of_it_is_over_and_not_written_before(world: World) -> None:
    look(world)
    fresh = version_of_lease(world)
    assert TTL_S / 2 < look(world).leads_s <= TTL_S
    look(world, uuid7())
    assert version_of_lease(world) == fresh, "nobody wrote"
    world.sql(f"UPDATE keeper_lease SET expires_at = now() + interval '{TTL_S / 2 - 1} s' RETURNING holder")
    assert look(world).leads_s > TTL_S / 2


def version_of_lease(world: World) -> object:
    return world.sql("SELECT CAST(xmin AS text) AS xmin, CAST(xmax AS text) AS xmax FROM keeper_lease")


def a_run(world: World) -> None:
    world.running()


def a_cancelled_run(world: World) -> None:
    world.cancel(world.running().id)


def a_job_at_its_gate(world: World) -> None:
    world.insert(concurrency_key="key")


def a_job_that_became_due(world: World) -> None:
    world.edit(world.insert(delay_s=60), "run_at = now()")


def a_job_behind_others_that_became_due(world: World) -> None:
    for name in ("a", "b", "c"):
        world.insert(queue=name, delay_s=60)
    world.edit(world.insert(queue="b", delay_s=600, priority=5), "run_at = now()")


def a_ready_job_that_somebody_serves(world: World) -> None:
    world.worker()
    world.insert()


@pytest.mark.parametrize(
    "there_is",
    [
        a_run,
        a_cancelled_run,
        a_job_at_its_gate,
        a_job_that_became_due,
        a_job_behind_others_that_became_due,
        a_ready_job_that_somebody_serves,
    ],
)
def test_it_sees_what_a_keeper_has_to_do(world: World, there_is: Callable[[World], None]) -> None:
    assert not look(world).work
    there_is(world)
    assert look(world).work


def test_it_sees_nothing_to_do_where_every_job_waits_for_its_time_or_for_a_worker(world: World) -> None:
    world.worker("default", "paused")
    world.insert(delay_s=60)
    world.insert(queue="nobody")
    world.insert(queue="paused")
    world.call(queues.change, "paused", paused=True, set_max=False, max_running=None)
    seen = look(world)
    assert not seen.work
    assert seen.tick_in_s == math.inf
