"""`GET /tasks`: filters, order, members, cursors and links; and how many tasks there are."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from longrun_api import task_walk
from tests.integration.hand_worker import HandWorker
from tests.integration.test_api_submit import fields, problem
from tests.servers import execute

Submit = Callable[..., str]


def ids(response: httpx.Response) -> list[str]:
    """The paths of the tasks of a page."""
    return [f"/tasks/{item['task_id']}" for item in response.raise_for_status().json()["items"]]


@pytest.fixture
def listed(api: httpx.Client, worker: HandWorker) -> Callable[..., list[str]]:
    """Lists the tasks of this test's queue."""
    return lambda **params: ids(api.get("/tasks", params={"queue": worker.queue, **params}))


def test_filters_narrow_the_list_together(submit: Submit, worker: HandWorker, listed: Callable[..., list[str]]) -> None:
    plain = submit()
    tagged = submit(tags=["red", "round"], metadata={"customer": 42, "at": {"city": "Bonn"}}, input={"n": [1, 2]})
    other = submit(tags=["red"], metadata={"customer": "42"})
    assert listed() == [other, tagged, plain]
    assert listed(tag="red") == [other, tagged]
    assert listed(tag=["red", "round"]) == [tagged]
    assert listed(metadata='{"customer": 42}') == [tagged]
    assert listed(metadata='{"customer": "42"}') == [other]
    assert listed(metadata='{"customer": 42.0, "at": {"city": "Bonn"}}') == [tagged]
    assert listed(input='{"n": [2]}') == [tagged]
    assert listed(tag="red", input='{"n": [3]}') == []
    claim = worker.claim()
    worker.fail(claim, "no")
    assert listed(error_contains="VALUEERROR") == [plain]
    assert listed(status=["FAILED", "RUNNING"]) == [plain]
    assert listed(task_type=["echo", "sleep"]) == [other, tagged, plain]
    assert listed(task_type="sleep") == []


def test_a_task_is_found_by_the_beginning_of_its_id(submit: Submit, listed: Callable[..., list[str]]) -> None:
    first, second = submit(), submit()
    one, other = (path.rpartition("/")[2] for path in (first, second))
    same = one[: next(number for number, digit in enumerate(one) if digit != other[number])]
    assert listed(id_prefix=same) == [second, first]
    assert listed(id_prefix=one[: len(same) + 1].upper().replace("-", "")) == [first]
    assert listed(id_prefix=other, sort="created") == [second]
    assert listed(id_prefix=other, status="SUCCESS") == []


def test_times_are_ranges_that_begin_at_one_and_end_before_the_other(
    api: httpx.Client, submit: Submit, worker: HandWorker, listed: Callable[..., list[str]]
) -> None:
    tasks = [submit() for _ in range(3)]
    worker.finish(worker.claim())
    first, second, third = (api.get(path).json() for path in tasks)
    assert listed(created_after=second["created_at"]) == tasks[:0:-1]
    assert listed(created_before=second["created_at"]) == tasks[:1]
    assert listed(created_after=first["created_at"], created_before=third["created_at"]) == tasks[1::-1]
    assert listed(finished_after=first["finished_at"]) == tasks[:1]
    assert listed(finished_before=first["finished_at"]) == []
    ahead = datetime.now(UTC) + timedelta(days=1)
    assert listed(created_after=ahead.isoformat()) == listed(finished_after=ahead.isoformat()) == []


def test_a_list_is_sorted_by_the_time_of_creation_or_of_the_end(
    submit: Submit, worker: HandWorker, listed: Callable[..., list[str]]
) -> None:
    first, second, third = (submit() for _ in range(3))
    claims = [worker.claim(), worker.claim()]
    for claim in claims[::-1]:
        worker.finish(claim)
    assert listed(sort="-created") == [third, second, first]
    assert listed(sort="created") == [first, second, third]
    assert listed(sort="finished") == [second, first]
    assert listed(sort="-finished") == [first, second]


def test_fields_choose_the_members_of_each_task(api: httpx.Client, submit: Submit) -> None:
    path = submit(tags=["chosen"])
    [item] = api.get("/tasks", params={"tag": "chosen", "fields": "task_id,tags"}).json()["items"]
    assert item == {"task_id": path.removeprefix("/tasks/"), "tags": ["chosen"]}


@pytest.mark.parametrize("sort", ["created", "-created", "finished", "-finished"])
def test_links_lead_through_all_pages(api: httpx.Client, submit: Submit, worker: HandWorker, sort: str) -> None:
    tasks = [submit(metadata={"ü": "&="}) for _ in range(5)]
    for _ in tasks:
        worker.finish(worker.claim())
    query: dict[str, Any] = {"queue": worker.queue, "metadata": '{"ü": "&="}', "sort": sort, "limit": 2}
    page = first = api.get("/tasks", params=query)
    found = ids(page)
    while "next" in page.links:
        page = api.get(page.links["next"]["url"])
        assert ids(api.get(page.links["first"]["url"])) == ids(first)
        found += ids(page)
    assert sorted(found) == sorted(tasks)
    assert found == sorted(found, reverse=sort == "-created") or "finished" in sort
    assert page.json()["next"] is None


def test_a_cursor_belongs_to_its_filter_and_order(api: httpx.Client, submit: Submit, worker: HandWorker) -> None:
    for _ in range(2):
        submit()
    query: dict[str, Any] = {"queue": worker.queue, "limit": 1}
    cursor = api.get("/tasks", params=query).json()["next"]
    assert len(ids(api.get("/tasks", params={**query, "limit": 5, "fields": "task_id", "cursor": cursor}))) == 1
    for other in ({"status": "PENDING"}, {"sort": "created"}, {"sort": "finished"}, {"queue": "default"}):
        response = api.get("/tasks", params={**query, **other, "cursor": cursor})
        assert "another filter or sort" in fields(problem(response, 422, "invalid-input"))["cursor"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("sort=name", "sort"),
        ("fields=", "fields"),
        ("fields=task_id,input", "fields"),
        ("metadata=42", "metadata"),
        ("metadata=%5B%5D", "metadata"),
        ('metadata={"a":NaN}', "metadata"),
        ('metadata={"a":"%5Cu0000"}', "metadata"),
        ("metadata=" + "[" * 5_000, "metadata"),
        ("input={", "input"),
        ("created_after=2026-11-24", "created_after"),
        ("created_after=2026-11-24T12:00:00", "created_after"),
        ("created_after=1795521600", "created_after"),
        ("error_contains=", "error_contains"),
        ("tag=%00", "tag"),
        ("&".join(["tag=x"] * 21), "tag"),
        ("status=FAILED&status=DONE", "status"),
        ("schedule_id=nightly", "schedule_id"),
        ("limit=1&limit=2", "limit"),
        ("id_prefix=", "id_prefix"),
        ("id_prefix=nightly", "id_prefix"),
        (f"id_prefix={'0' * 33}", "id_prefix"),
    ],
)
def test_a_filter_that_means_nothing_is_named(api: httpx.Client, query: str, field: str) -> None:
    path = "/tasks?" + quote(query, safe="=&%")
    assert list(fields(problem(api.get(path), 422, "invalid-input"))) == [field]


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
@pytest.mark.parametrize("name", ["created_after", "created_before", "finished_after", "finished_before"])
def test_times_at_the_ends_of_the_calendar_are_answered(api: httpx.Client, name: str, time: str) -> None:
    assert api.get("/tasks", params={name: time}).status_code == 200


def test_a_search_among_many_tasks_gives_empty_pages_that_go_on(
    api: httpx.Client, shared_stack: Any, submit: Submit
) -> None:
    needle = submit(input={"needle": True})
    execute(shared_stack.database_url, MANY.format(count=task_walk.MAX_EXAMINED + 2_000))
    query = {"input": json.dumps({"needle": True}), "sort": "-created"}
    pages = [api.get("/tasks", params=query)]
    while "next" in pages[-1].links:
        pages.append(api.get(pages[-1].links["next"]["url"]))
        assert len(pages) < 100
    assert ids(pages[0]) == []
    assert [each for page in pages for each in ids(page)] == [needle]
    counts = api.get("/tasks:count", params={"input": query["input"]}).json()["counts"]
    assert counts["PENDING"] == {"count": 0, "exact": False}
    counts = api.get("/tasks:count", params={"task_type": "many"}).json()["counts"]
    assert counts["SUCCESS"] == {"count": task_walk.MAX_EXAMINED, "exact": False}
    assert counts["FAILED"] == {"count": 0, "exact": True}


MANY = """
INSERT INTO longrun.jobs (id, task_type, queue, rank, status, ready, run_at, input, max_attempts, attempt, fence,
                          created_at, started_at, finished_at)
SELECT CAST(lpad(to_hex(CAST(extract(epoch FROM now()) * 1000 AS bigint)), 12, '0') || '7fff8000'
            || lpad(to_hex(n), 12, '0') AS uuid),
       'many', 'many', now(), 'SUCCESS', false, now(), '{{}}', 1, 1, 1, now(), now(), now()
FROM generate_series(1, {count}) AS n
"""


def test_tasks_are_counted_by_status(api: httpx.Client, submit: Submit, worker: HandWorker) -> None:
    for _ in range(3):
        submit(tags=["counted"])
    worker.finish(worker.claim())
    worker.claim()

    def counted(**params: Any) -> dict[str, int]:
        found = api.get("/tasks:count", params={"queue": worker.queue, **params}).raise_for_status().json()["counts"]
        assert all(each["exact"] for each in found.values())
        return {status: each["count"] for status, each in found.items()}

    everything = {"PENDING": 1, "RUNNING": 1, "SUCCESS": 1, "FAILED": 0, "CANCELLED": 0}
    assert counted() == counted(tag="counted") == everything
    assert counted(status=["FAILED", "RUNNING"]) == {"RUNNING": 1, "FAILED": 0}
    assert counted(finished_after="2026-01-01T00:00:00Z")["SUCCESS"] == 1
    assert counted(task_type="unheard-of") == dict.fromkeys(everything, 0)
