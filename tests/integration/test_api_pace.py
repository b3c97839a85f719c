"""`Retry-After` of a task that has not ended follows the pace of its queue, within 1 and 60 seconds."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import httpx
import pytest

from tests.integration.hand_worker import HandWorker
from tests.processes import Stack
from tests.servers import execute
from tests.waiting import until

Submit = Callable[..., str]


def retry_after(response: httpx.Response) -> int:
    return int(response.headers["retry-after"])


def set_columns(stack: Stack, here: str, columns: str) -> None:
    execute(stack.database_url, f"UPDATE longrun.jobs SET {columns} WHERE id = %s", str(UUID(here[-36:])))


def submitted(api: httpx.Client, worker: HandWorker, **options: float) -> httpx.Response:
    return api.post("/tasks", json={"task_type": "echo", "input": {}, "queue": worker.queue, **options})


def test_in_an_idle_queue_it_is_a_second(api: httpx.Client, worker: HandWorker) -> None:
    response = submitted(api, worker)
    assert retry_after(response) == 1
    assert retry_after(api.get(response.headers["location"])) <= 2


def test_behind_a_backlog_it_is_as_long_as_the_head_has_waited(
    shared_stack: Stack, api: httpx.Client, worker: HandWorker, submit: Submit
) -> None:
    head = submit()
    set_columns(shared_stack, head, "rank = now() - interval '20 s'")
    until(lambda: 20 <= retry_after(submitted(api, worker)) <= 60, what="the age of the head is known")
    new = submit()
    assert 10 <= retry_after(api.get(new)) <= 60
    set_columns(shared_stack, head, "rank = now() - interval '1 hour'")
    until(lambda: retry_after(submitted(api, worker)) == 60, what="it is never longer than a minute")


def test_in_a_paused_queue_it_is_a_minute(api: httpx.Client, worker: HandWorker) -> None:
    assert api.patch(f"/queues/{worker.queue}", json={"paused": True}).status_code == 200
    until(lambda: retry_after(submitted(api, worker)) == 60, what="the pause is known")


@pytest.mark.parametrize(("delay_s", "bounds"), [(30.0, (10, 30)), (3600.0, (60, 60)), (0.1, (1, 1))])
def test_a_task_with_a_start_time_is_looked_at_when_that_has_come(
    api: httpx.Client, worker: HandWorker, delay_s: float, bounds: tuple[int, int]
) -> None:
    response = submitted(api, worker, delay_s=delay_s)
    assert bounds[0] <= retry_after(response) <= bounds[1]
    assert bounds[0] - 1 <= retry_after(api.get(response.headers["location"])) <= bounds[1]


@pytest.mark.parametrize(("runs_s", "bounds"), [(0, (1, 6)), (200, (20, 26)), (6000, (60, 60))])
def test_a_task_that_runs_is_looked_at_after_a_tenth_of_the_time_so_far(
    shared_stack: Stack, api: httpx.Client, worker: HandWorker, submit: Submit, runs_s: int, bounds: tuple[int, int]
) -> None:
    here = submit()
    claim = worker.claim()
    set_columns(shared_stack, here, f"started_at = now() - interval '{runs_s} s'")
    assert bounds[0] <= retry_after(api.get(here)) <= bounds[1]
    worker.finish(claim)
    assert "retry-after" not in api.get(here).headers
