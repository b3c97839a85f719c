"""A bulk action goes on after the death of whatever ran it: each job is changed once, and none is missed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from typing import Any

import httpx
import psycopg2
import pytest

from jobcore.models import NewJob
from jobcore.store import jobs
from tests.integration.store.world import World
from tests.processes import Process, Stack
from tests.thorough import cases
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.fault

MANY = 3_000
HASTY = {"LONGRUN_LEASE_S": "3", "LONGRUN_HEARTBEAT_S": "1"}
STATES = """
SELECT id, array_agg(data ->> 'status' ORDER BY seq) FROM jobs JOIN job_events ON job_id = id
WHERE queue = 'many' GROUP BY id
"""
RUNNER = "SELECT pid FROM workers WHERE queues = ARRAY['longrun.bulk'] AND state = 'active'"


@pytest.fixture
def stack(new_stack: Callable[[str], AbstractContextManager[Stack]]) -> Iterator[Stack]:
    with new_stack("bulk") as stack:
        yield stack


def rows(stack: Stack, sql: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(stack.database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SET search_path = longrun")
        cursor.execute(sql)
        return cursor.fetchall()


def runner(stack: Stack, apis: list[Process]) -> Process:
    """The process whose keeper runs the bulk action."""
    found: list[Process] = []

    def is_known() -> bool:
        pids = {pid for (pid,) in rows(stack, RUNNER)}
        found[:] = [api for api in apis if api.pid in pids]
        return bool(found)

    until(is_known, what="a keeper runs the bulk action")
    return found[0]


@pytest.mark.parametrize("end", cases(["kill", "terminate"]))
def test_a_bulk_of_3000_goes_on_in_another_process_and_changes_each_job_once(stack: Stack, end: str) -> None:
    """A lock on one job holds the bulk action in the middle of its fourth batch, until its process is gone."""
    apis = [stack.api(env=HASTY) for _ in range(2)]
    with World(stack.database_url) as world:
        ids = [job.id for job in insert(world)]
        with closing(psycopg2.connect(stack.database_url)) as holder, holder.cursor() as cursor:
            cursor.execute("SELECT FROM longrun.jobs WHERE id = %s FOR UPDATE", (str(sorted(ids)[1_700]),))
            here = httpx.post(f"{apis[0].url}/tasks:cancel", json={"filter": {"queue": ["many"]}}).headers["location"]
            doomed = runner(stack, apis)
            until(lambda: cancelled(stack) == 1_500, what="three batches are committed and the fourth waits")
            doomed.kill() if end == "kill" else doomed.terminate()
            doomed.wait()
            insert(world, 5)
        [other] = [api for api in apis if api is not doomed]
        task = httpx.get(f"{other.url}{here}", params={"wait": 60}, timeout=PATIENCE_S).json()
    assert task["status"] == "SUCCESS", task
    assert task["result"] == {"matched": MANY, "changed": MANY, "skipped": {}, "exact": True}
    states = {job_id: tuple(found) for job_id, found in rows(stack, STATES)}
    assert Counter(states.values()) == {("PENDING", "CANCELLED"): MANY, ("PENDING",): 5}
    assert {states[str(job_id)] for job_id in ids} == {("PENDING", "CANCELLED")}


def insert(world: World, count: int = MANY) -> list[NewJob]:
    given = [world.new(queue="many") for _ in range(count)]
    for start in range(0, count, 1_000):
        world.call(jobs.insert, given[start : start + 1_000])
    return given


def cancelled(stack: Stack) -> int:
    [(count,)] = rows(stack, "SELECT count(*) FROM jobs WHERE queue = 'many' AND status = 'CANCELLED'")
    return int(count)
