"""How many tasks of a filter have each status, counted up to the bounds of one request."""

from __future__ import annotations

from collections import Counter

from jobcore.models import JobFilter
from jobcore.states import Status
from jobcore.store import counts
from longrun_api.database import AsyncDatabase
from longrun_api.schemas import StatusCount
from longrun_api.task_walk import MAX_EXAMINED, Pace


async def count(database: AsyncDatabase, wanted: JobFilter) -> dict[Status, StatusCount]:
    """The number of tasks of each status of the filter; see `GET /tasks:count` for when it is exact."""
    statuses = wanted.statuses or tuple(Status)
    if wanted.is_indexed:
        found = await database.call(counts.of_lists, wanted, MAX_EXAMINED + 1)
        return {
            status: StatusCount(
                count=min(found.get(status, 0), MAX_EXAMINED), exact=found.get(status, 0) <= MAX_EXAMINED
            )
            for status in statuses
        }
    total: Counter[Status] = Counter()
    pace, reached, is_over = Pace(MAX_EXAMINED), None, False
    while not is_over:
        step = await database.call(counts.step, wanted, reached, candidates=pace.step)
        total.update(step.jobs)
        reached, is_over = step.reached, step.ended or pace.is_over(step.examined)
    return {status: StatusCount(count=total[status], exact=step.ended) for status in statuses}
