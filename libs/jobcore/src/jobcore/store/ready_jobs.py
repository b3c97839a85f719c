"""SQL about ready jobs: which rows of `jobs` may be claimed, in which order, and since when they are ready."""

from __future__ import annotations

from typing import Final

READY: Final = "status = 'PENDING' AND ready"
"""Whether a row of `jobs` is ready."""

IN_ORDER: Final = f"{READY} AND rank >= low_rank ORDER BY rank, id"
"""The ready jobs of a queue in the order of claims; needs `low_rank` of a row of `queues`."""

CLAIMABLE: Final = "(expires_at IS NULL OR expires_at > now() OR started_at IS NOT NULL)"
"""Whether a ready row of `jobs` may still start: a job expires only before its first run."""

TYPE_OF_QUEUE: Final = "ARRAY[jobs.queue, jobs.task_type]"
"""The queue and the task type of a row of `jobs`, written as in the index `jobs_ready_by_type`."""

OF_ANY_TYPE: Final = "CASE WHEN ready THEN status END = 'PENDING'"
"""Whether a row of `jobs` is ready, written as in that index."""

OF_TYPE: Final = f"""
{TYPE_OF_QUEUE} = ARRAY[{{queue}}, {{task_type}}] AND {OF_ANY_TYPE}
"""
"""Whether a row of `jobs` is ready, and of a queue and a task type.

It is written as the index `jobs_ready_by_type` is, so that the planner can choose no other index whatever its
statistics say. Statistics from before a burst of jobs say that each index of ready jobs is empty."""

SINCE: Final = """
CASE WHEN fairness_key IS NOT NULL AND attempt = {attempts} THEN greatest(run_at, created_at)
     ELSE rank + priority * interval '60 s' END
"""
"""When a row of `jobs` became ready. The rank says so, but before the first run the rank may be a turn.

`attempts` is the value of `attempt` before the first run: 0, or 1 in a statement that has just raised it."""

READY_SINCE: Final = SINCE.format(attempts=0)

DUE_AT: Final = """
CASE WHEN fairness_key IS NOT NULL AND attempt < CASE status WHEN 'PENDING' THEN 1 ELSE 2 END
     THEN greatest(run_at, created_at)
     ELSE greatest(run_at, rank + priority * interval '60 s') END
"""
"""When a row of `jobs` became due, or will, for its latest run or, if it is PENDING, for its next one."""
