"""A list has the jobs of its filter, all of them, in order and once, whatever its filter, order and page sizes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from jobcore.models import Job, JobFilter, JobOrder, JobPosition, JsonText
from jobcore.states import TERMINAL, Status
from jobcore.store import job_sources, listing
from jobcore.store.job_sources import Source
from tests.integration.store.world import World, empty, race

COUNT = 300
NEWEST = JobOrder()
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
SCHEDULES = [UUID(int=1), UUID(int=2)]
TAGS = ["red", "green", "blue"]
VALUES = [1, 2, "1", True, None, 1.5, [1, 2], {"deep": 1}]
ERRORS = ["Connection refused", "timed out after 5 s", "100 % wrong_"]
ORDERS = [JobOrder(by_finish, descending) for by_finish in (False, True) for descending in (False, True)]

FILL = """
INSERT INTO jobs (id, task_type, queue, rank, status, ready, run_at, input, tags, metadata, max_attempts, fence,
    attempt, worker_id, slot, schedule_id, created_at, started_at, finished_at, error, cancel_requested_at, owner)
SELECT id, task_type, queue, created_at, status, false, created_at, input, tags, metadata, 1, 1, 1,
    CASE WHEN status = 'RUNNING' THEN id END, CASE WHEN status = 'RUNNING' THEN 0 END, schedule_id, created_at,
    created_at, finished_at, error, CASE WHEN status = 'CANCELLED' THEN finished_at END, owner
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS row (id uuid, task_type text, queue text, status text, input jsonb,
    tags text[], metadata jsonb, schedule_id uuid, created_at timestamptz, finished_at timestamptz, error jsonb,
    owner text)
"""


def row(number: int) -> dict[str, Any]:
    """A job of a history in which any two conditions meet somewhere; ids are a second off the time of creation."""
    created = BEGIN + timedelta(minutes=number)
    status = list(Status)[number % 5]
    stamp = int((created.timestamp() + number % 3 - 1) * 1000)
    return {
        "id": str(UUID(int=stamp << 80 | number)),
        "task_type": ["echo", "sleep", "report"][number // 5 % 3],
        "queue": ["default", "slow", "rare"][0 if number % 11 else 1 + number % 2],
        "status": status,
        "input": {"n": number % 7, "nested": {"a": [number % 3, "x"]}},
        "tags": [tag for bit, tag in enumerate(TAGS) if number >> bit & 1],
        "metadata": {"customer": VALUES[number % len(VALUES)], "n": number},
        "schedule_id": str(SCHEDULES[number % 2]) if number % 4 == 0 else None,
        "created_at": created.isoformat(),
        # several jobs end at the same time
        "finished_at": (created + timedelta(hours=1 + number % 9)).replace(minute=0).isoformat()
        if status in TERMINAL
        else None,
        "error": {"kind": "raised", "type": "IOError", "message": ERRORS[number % 3], "attempt": 1}
        if status is Status.FAILED or (status is Status.PENDING and number % 3)
        else None,
        "owner": ["bob", None, "alice"][number % 3] if number % 4 else "alice",  # as the schedule's
    }


ROWS = [row(number) for number in range(COUNT)]


@pytest.fixture(scope="module")
def history(module_database: str) -> Iterator[World]:
    """The store with `ROWS`."""
    with World(module_database) as world:
        world.call(empty)
        world.call(lambda connection: fill(connection, ROWS))
        yield world


def fill(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    connection.execute(text(FILL), {"rows": json.dumps(rows)})


def contains(whole: Any, part: Any) -> bool:
    """What PostgreSQL calls containment of jsonb, for the values of these tests."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and contains(whole[key], part[key]) for key in part)
    if isinstance(part, list):
        return isinstance(whole, list) and all(any(contains(one, each) for one in whole) for each in part)
    return (type(whole) is bool) == (type(part) is bool) and whole == part


def matches(job: dict[str, Any], wanted: JobFilter) -> bool:
    """The filter, once more, in Python."""
    created, finished = (job[name] and datetime.fromisoformat(job[name]) for name in ("created_at", "finished_at"))
    error = job["error"] and f"{job['error']['type']}: {job['error']['message']}".lower()
    return all(
        [
            not wanted.statuses or job["status"] in wanted.statuses,
            not wanted.task_types or job["task_type"] in wanted.task_types,
            not wanted.queues or job["queue"] in wanted.queues,
            set(wanted.tags) <= set(job["tags"]),
            wanted.schedule_id is None or job["schedule_id"] == str(wanted.schedule_id),
            wanted.owner is None or job["owner"] == wanted.owner,
            wanted.id_prefix is None or job["id"].replace("-", "").startswith(wanted.id_prefix),
            wanted.created_after is None or created >= wanted.created_after,
            wanted.created_before is None or created < wanted.created_before,
            wanted.finished_after is None or (finished and finished >= wanted.finished_after),
            wanted.finished_before is None or (finished and finished < wanted.finished_before),
            wanted.metadata is None or contains(job["metadata"], json.loads(wanted.metadata)),
            wanted.input is None or contains(job["input"], json.loads(wanted.input)),
            wanted.error_contains is None or (error and wanted.error_contains.lower() in error),
        ]
    )


def expected(wanted: JobFilter, order: JobOrder) -> list[str]:
    """The ids of the jobs of a filter, in order."""
    found = [job for job in ROWS if matches(job, wanted)]
    if not order.by_finish:
        return sorted((job["id"] for job in found), reverse=order.descending)
    ended = sorted(
        ((datetime.fromisoformat(job["finished_at"]), job["id"]) for job in found if job["finished_at"]),
        reverse=order.descending,
    )
    return [job_id for _, job_id in ended]


def walk(world: World, wanted: JobFilter, order: JobOrder, limit: int, candidates: int) -> Iterator[Job]:
    """All jobs of a list, step by step."""
    after: JobPosition | None = None
    while True:
        step = world.call(listing.page, wanted, order, after, limit=limit, candidates=candidates)
        assert len(step.jobs) <= limit
        assert step.examined <= candidates
        yield from step.jobs
        if step.ended and len(step.jobs) < limit:
            return
        before, after = after, listing.position(step.jobs[-1], order) if len(step.jobs) == limit else step.reached
        assert after != before, "the list does not advance"


def some(values: Sequence[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.sampled_from(values), max_size=2, unique=True).map(lambda chosen: tuple(sorted(chosen)))


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), st.none(), strategy)


def hexadecimal(job: dict[str, Any], digits: int) -> str:
    """The first digits of the id of a job."""
    return str(job["id"]).replace("-", "")[:digits]


times = st.integers(-90, COUNT + 600).map(lambda minutes: BEGIN + timedelta(minutes=minutes))
objects = st.one_of(
    st.fixed_dictionaries({"customer": st.sampled_from(VALUES)}),
    st.fixed_dictionaries({"n": st.integers(0, 9)}),
    st.sampled_from([{}, {"customer": [2]}, {"customer": {"deep": 1}}, {"nested": {"a": ["x"]}}, {"n": 1.0}]),
).map(lambda value: JsonText(json.dumps(value)))
filters = st.builds(
    JobFilter,
    statuses=some(list(Status)),
    task_types=some(["echo", "report", "unheard-of"]),
    queues=some(["default", "slow", "rare", "empty"]),
    tags=some(TAGS),
    schedule_id=maybe(st.sampled_from([*SCHEDULES, UUID(int=3)])),
    created_after=maybe(times),
    created_before=maybe(times),
    finished_after=maybe(times),
    finished_before=maybe(times),
    metadata=maybe(objects),
    input=maybe(objects),
    owner=maybe(st.sampled_from(["alice", "bob", "nobody"])),
    id_prefix=maybe(st.builds(hexadecimal, st.sampled_from(ROWS), st.integers(1, 32))),
    error_contains=maybe(st.sampled_from(["refused", "TIMED", "ioerror: c", "% wrong_", "raised", "ö"])),
)


def test_a_list_of_any_filter_is_what_python_finds_among_all_rows(history: World) -> None:
    tried: set[Source] = set()

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @example(JobFilter(), ORDERS[0], 20, 50)  # the two sources that few random filters have
    @example(JobFilter(owner="bob", schedule_id=SCHEDULES[0]), ORDERS[0], 20, 50)
    @given(filters, st.sampled_from(ORDERS), st.integers(5, 60), st.integers(20, 150))
    def check(wanted: JobFilter, order: JobOrder, limit: int, candidates: int) -> None:
        found = [str(job.id) for job in walk(history, wanted, order, limit, candidates)]
        assert found == expected(wanted, order)
        tried.add(Source.of(wanted, order))

    check()
    assert tried == set(Source)


@pytest.mark.parametrize(
    "wanted",
    [JobFilter(owner="bob"), JobFilter(owner="bob", schedule_id=SCHEDULES[0]), JobFilter((), ("echo",), owner="x")],
)
@pytest.mark.parametrize("order", ORDERS)
def test_a_list_of_an_owner_looks_at_no_job_of_another(history: World, wanted: JobFilter, order: JobOrder) -> None:
    own = {job["id"] for job in ROWS if job["owner"] == wanted.owner}
    step = history.call(listing.page, wanted, order, limit=COUNT, candidates=COUNT)
    assert step.examined <= len(own)
    assert step.reached is None or str(step.reached.id) in own


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    "wanted",
    [
        JobFilter(),
        JobFilter(statuses=(Status.FAILED,)),
        JobFilter(queues=("rare",)),
        JobFilter(schedule_id=SCHEDULES[0]),
        JobFilter(owner="bob"),
        JobFilter(owner="alice", schedule_id=SCHEDULES[0]),
        JobFilter(metadata=JsonText('{"customer": "1"}')),
        JobFilter(created_after=BEGIN + timedelta(minutes=100), created_before=BEGIN + timedelta(minutes=110)),
    ],
)
def test_a_list_is_the_same_in_steps_of_any_size(history: World, wanted: JobFilter, order: JobOrder) -> None:
    for size in (1, 7, COUNT):
        assert [str(job.id) for job in walk(history, wanted, order, size, size)] == expected(wanted, order)


def test_a_clock_that_is_almost_a_minute_off_hides_no_job(world: World) -> None:
    job_id = world.insert()
    for seconds in (-59, 59):
        world.edit(job_id, "created_at = now() + make_interval(secs => :off)", off=seconds)
        created = world.row(job_id)["created_at"]
        wanted = JobFilter(created_after=created, created_before=created + timedelta(microseconds=1))
        for order in ORDERS[:2]:
            assert [job.id for job in walk(world, wanted, order, 5, 5)] == [job_id]


@pytest.mark.parametrize("wanted", [JobFilter(), JobFilter(statuses=(Status.PENDING,)), JobFilter(queues=("default",))])
def test_pages_neither_skip_nor_repeat_while_jobs_are_inserted(world: World, wanted: JobFilter) -> None:
    before = world.insert_many(120)

    def insert() -> list[UUID]:
        return [world.insert() for _ in range(40)]

    def leaf(order: JobOrder) -> Callable[[], list[UUID]]:
        return lambda: [job.id for job in walk(world, wanted, order, 7, 9)]

    _, newest, oldest = race(insert, leaf(NEWEST), leaf(JobOrder(descending=False)))
    assert newest == sorted(set(newest), reverse=True)
    assert oldest == sorted(set(oldest))
    assert set(before) <= set(newest) & set(oldest)


def test_items_of_a_list_have_neither_input_nor_result(world: World) -> None:
    world.insert()
    [job] = walk(world, JobFilter(), NEWEST, 5, 5)
    assert (job.input, job.result) == (None, None)


def test_the_bounds_of_a_range_are_ids_of_its_times() -> None:
    wanted = JobFilter(created_after=datetime(1, 1, 1, tzinfo=UTC), created_before=datetime.max.replace(tzinfo=UTC))
    bounds = job_sources.parameters(wanted, NEWEST, None)
    assert job_sources.FIRST_ID <= bounds["stop"] < bounds["start"] <= job_sources.LAST_ID
