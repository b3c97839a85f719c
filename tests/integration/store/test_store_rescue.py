"""Lost runs are found: those whose worker ended or is unknown, and no others."""

from __future__ import annotations

import pytest

from jobcore.store import rescue, workers
from tests.integration.store.world import World


@pytest.mark.parametrize("state", ["dead", "gone"])
def test_a_run_whose_worker_ended_is_lost(world: World, state: str) -> None:
    healthy, ended = world.worker(), world.worker()
    world.running(healthy)
    lost = world.running(ended)
    assert world.lost() == []
    world.sql("UPDATE workers SET state = :state WHERE id = :id RETURNING id", state=state, id=ended)
    assert world.lost() == [lost.id]
    [release] = world.call(rescue.lost)
    assert (release.fence, release.cause) == (lost.fence, "loss")
    world.release_many([release])
    assert world.lost() == []


def test_a_run_whose_worker_is_unknown_is_lost(world: World) -> None:
    claim = world.running()
    world.sql("DELETE FROM workers RETURNING id")
    assert world.lost() == [claim.id]


def test_a_run_of_a_draining_worker_is_not_lost(world: World) -> None:
    worker = world.worker()
    world.running(worker)
    world.call(workers.beat, worker, draining=True)
    assert world.lost() == []
