"""Jobs that ended long ago are deleted with their events, and no others."""

from __future__ import annotations

from uuid import UUID

from jobcore.states import TERMINAL, Status
from jobcore.store import cancellations
from jobcore.store.cancellations import CompletedCancel
from tests.integration.store.world import World

LAST = UUID(int=2**128 - 1)


def test_old_ended_jobs_are_deleted_with_their_events_and_young_ones_kept(world: World) -> None:
    old = [world.ended(status) for status in sorted(TERMINAL)]
    cancelled = old[sorted(TERMINAL).index(Status.CANCELLED)]
    young = world.ended(Status.SUCCESS)
    waiting = world.insert()
    for job_id in old:
        world.edit(job_id, "finished_at = now() - interval '2 hours'")
    assert world.retire(LAST, 3600.0) == 2, "a cancelled run that has not stopped is kept"
    world.call(cancellations.complete, [CompletedCancel(cancelled, world.row(cancelled)["fence"], "signal")])
    assert world.retire(LAST, 3600.0) == 1
    left = {row["job_id"] for row in world.sql("SELECT DISTINCT job_id FROM job_events")}
    assert left == {row["id"] for row in world.sql("SELECT id FROM jobs")} == {young, waiting}


def test_retention_stops_at_the_id_given_and_at_its_limit(world: World) -> None:
    ended = [world.ended(Status.SUCCESS) for _ in range(4)]
    for job_id in ended:
        world.edit(job_id, "finished_at = now() - interval '2 hours'")
    assert world.retire(ended[3], 3600.0, 2) == 2
    assert world.retire(ended[3], 3600.0, 2) == 1
    assert world.retire(ended[3], 3600.0, 2) == 0
    assert world.status(ended[3]) is Status.SUCCESS
