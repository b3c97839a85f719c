"""The room of workers: how many jobs of each lane they run, and how many more they could start now.

The lane of a job is the one that its worker registered for the job's task type. A child that has a job of the process
lane claims nothing until that has ended. Otherwise a child claims while it has fewer async and thread jobs than
`jobs_per_child`. So a child is either full or free, and a free one can take a job of any lane.
"""

from __future__ import annotations

from typing import Final

LANE: Final = "coalesce(lanes[array_position(task_types, task_type)], 'process')"
"""The lane of a row of `jobs` that a row of `workers` runs."""

ROOM: Final = f"""
LATERAL (
    SELECT process, async, thread, free,
           CASE WHEN 'process' = ANY(coalesce(lanes, ARRAY['process'])) THEN free ELSE 0 END AS process_room,
           CASE WHEN 'async' = ANY(lanes) THEN background ELSE 0 END AS async_room,
           CASE WHEN 'thread' = ANY(lanes) THEN background ELSE 0 END AS thread_room
    FROM (
        SELECT *, greatest(0, free * jobs_per_child - beside) AS background
        FROM (
            SELECT coalesce(sum(process), 0) AS process, coalesce(sum(async), 0) AS async,
                   coalesce(sum(thread), 0) AS thread,
                   coalesce(sum(async + thread) FILTER (WHERE NOT is_full), 0) AS beside,
                   CASE WHEN state = 'active' THEN greatest(0, concurrency - count(*) FILTER (WHERE is_full))
                        ELSE 0 END AS free
            FROM (
                SELECT *, process > 0 OR async + thread >= jobs_per_child AS is_full
                FROM (
                    SELECT slot, count(*) FILTER (WHERE lane = 'process') AS process,
                           count(*) FILTER (WHERE lane = 'async') AS async,
                           count(*) FILTER (WHERE lane = 'thread') AS thread
                    FROM (
                        SELECT slot, {LANE} AS lane FROM jobs WHERE worker_id = workers.id AND status = 'RUNNING'
                    ) AS runs GROUP BY slot
                ) AS children
            ) AS children
        ) AS children
    ) AS children
) AS room
"""
"""To be joined to `workers`: what each runs by lane, how many of its children are `free`, and its room by lane.

A worker has no room for a lane of which it knows no task type, and a draining one has none at all. Async and thread
jobs share theirs.
"""

FLEET: Final = f"""
fleet AS MATERIALIZED (
    SELECT queue AS name, count(*) AS workers, sum(concurrency) AS children, CAST(sum(free) AS bigint) AS free,
           CAST(ARRAY[sum(process_room), sum(async_room), sum(thread_room)] AS bigint[]) AS room
    FROM workers CROSS JOIN {ROOM} CROSS JOIN LATERAL unnest(queues) AS queue
    WHERE state = 'active' GROUP BY queue
)
"""
"""A CTE: the active workers of each queue that has any, their children, the free ones of these, and room by lane."""
