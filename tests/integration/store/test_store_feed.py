"""The feed has each state and progress of all jobs once, in one order, however transactions overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from jobcore.models import FeedEvent, FeedFilter, FeedPosition, NewEvent
from jobcore.states import Status
from jobcore.store import feed, jobs
from tests.integration.appending import append_events
from tests.integration.store.world import World, race

LAST = UUID(int=2**128 - 1)
EVERYTHING = FeedFilter()


class Reader:
    """Reads the feed from now on."""

    def __init__(self, world: World, wanted: FeedFilter = EVERYTHING, candidates: int = 500) -> None:
        self.world = world
        self.wanted = wanted
        self.candidates = candidates
        self.cursor = world.call(feed.head).position
        self.held = False

    def read(self, max_bytes: int = 1_000_000) -> list[FeedEvent]:
        """Everything that can be read now."""
        found: list[FeedEvent] = []
        while True:
            bounds = {"candidates": self.candidates, "max_bytes": max_bytes}
            page = self.world.call(feed.page, self.wanted, self.cursor, **bounds)
            found += page.events
            self.cursor, self.held = page.reached, page.held
            if not page.full:
                return found


@pytest.fixture(autouse=True)
def known_queue(world: World) -> None:
    """Makes the queue: a transaction that makes it would block all others that use it."""
    world.sql("INSERT INTO queues (name) VALUES ('default') RETURNING name")


def shown(found: list[FeedEvent]) -> list[tuple[UUID, int]]:
    return [(each.position.job_id, each.position.seq) for each in found]


@contextmanager
def transaction(world: World) -> Iterator[Connection]:
    """An open transaction that commits at the end."""
    options = {"isolation_level": "READ COMMITTED"}
    with world.db.engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


def insert(world: World, connection: Connection) -> UUID:
    """Accept a job in an open transaction."""
    job = world.new()
    jobs.insert_inside(connection, [job])
    return job.id


def test_a_transaction_that_commits_late_is_read_once_and_before_those_that_overtook_it(world: World) -> None:
    reader = Reader(world)
    with transaction(world) as early:
        first = insert(world, early)
        with transaction(world) as late:
            second = insert(world, late)
        assert reader.read() == []
        assert reader.held, "what is committed waits for the older transaction"
        again = Reader(world)
    assert shown(reader.read()) == [(first, 1), (second, 1)]
    assert not reader.held
    assert shown(again.read()) == [(first, 1), (second, 1)], "a reader that came in between sees the same order"
    assert reader.read() == []


def test_a_transaction_that_is_rolled_back_holds_nothing_up_and_is_never_read(world: World) -> None:
    reader = Reader(world)
    with transaction(world) as doomed:
        insert(world, doomed)
        job_id = world.insert()
        assert reader.read() == []
        doomed.rollback()
    assert shown(reader.read()) == [(job_id, 1)]


def test_a_transaction_that_only_reads_holds_nothing_up(world: World) -> None:
    reader = Reader(world)
    with transaction(world) as looking:
        looking.execute(text("SELECT count(*) FROM jobs"))
        job_id = world.insert()
        assert shown(reader.read()) == [(job_id, 1)]


@pytest.mark.parametrize("candidates", [1, 2, 7, 500])
def test_many_events_of_one_transaction_are_read_in_pages_without_a_gap(world: World, candidates: int) -> None:
    reader = Reader(world, candidates=candidates)
    ids = world.insert_many(20)
    assert shown(reader.read()) == [(job_id, 1) for job_id in sorted(ids)]


def test_a_page_is_bounded_in_bytes(world: World) -> None:
    reader = Reader(world)
    claim = world.running()
    message = "x" * 5_000
    for number in range(10):
        progress = {"done": number, "total": None, "message": message}
        world.call(append_events, claim.id, claim.fence, [NewEvent("progress", progress)])
    page = world.call(feed.page, EVERYTHING, reader.cursor, candidates=500, max_bytes=12_000)
    assert page.full
    assert sum(len(each.event.data.get("message", "")) for each in page.events) <= 15_000
    assert [seq for _, seq in shown(reader.read(max_bytes=12_000))] == list(range(1, 13))


def test_states_and_progress_are_in_the_feed_and_other_events_are_not(world: World) -> None:
    reader = Reader(world)
    claim = world.running()
    said = [NewEvent("log", {"level": "info", "message": "hello"}), NewEvent("progress", {"done": 1, "total": 2})]
    world.call(append_events, claim.id, claim.fence, said)
    world.finish(claim)
    assert [(each.event.kind, each.event.seq) for each in reader.read()] == [
        ("state", 1),
        ("state", 2),
        ("progress", 4),
        ("state", 5),
    ]


FILTERS: list[tuple[Callable[[UUID, UUID], FeedFilter], list[int]]] = [
    (lambda one, other: FeedFilter(kinds=frozenset({"progress"})), [3]),
    (lambda one, other: FeedFilter(statuses=frozenset({Status.RUNNING})), [2, 3]),
    (lambda one, other: FeedFilter(statuses=frozenset({"SUCCESS", "PENDING"})), [1, 4, 1]),
    (lambda one, other: FeedFilter(task_types=frozenset({"a"})), [1, 2, 3, 4]),
    (lambda one, other: FeedFilter(queues=frozenset({"default"})), [1, 2, 3, 4]),
    (lambda one, other: FeedFilter(queues=frozenset({"default", "other"})), [1, 2, 3, 4, 1]),
    (lambda one, other: FeedFilter(tags=frozenset({"x"})), [1, 2, 3, 4, 1]),
    (lambda one, other: FeedFilter(tags=frozenset({"x", "y"})), [1, 2, 3, 4]),
    (lambda one, other: FeedFilter(job_ids=frozenset({other})), [1]),
    (lambda one, other: FeedFilter(job_ids=frozenset({UUID(int=7)})), []),
    (lambda one, other: FeedFilter(schedule_id=UUID(int=7)), []),
]


@pytest.mark.parametrize(("of", "seqs"), FILTERS, ids=map(str, range(len(FILTERS))))
def test_a_filter_means_the_same_in_sql_and_in_the_process(world: World, of: Any, seqs: list[int]) -> None:
    everything = Reader(world)
    claim = world.running(task_type="a", tags=("x", "y"))
    world.call(append_events, claim.id, claim.fence, [NewEvent("progress", {"done": 1, "total": 2})])
    world.finish(claim)
    wanted = of(claim.id, world.insert(task_type="b", queue="other", tags=("x",)))
    filtered = Reader(world, wanted)
    filtered.cursor = everything.cursor
    found = filtered.read()
    assert [each.position.seq for each in found] == seqs
    assert found == [each for each in everything.read() if wanted.matches(each)]


def test_none_is_missed_and_none_doubled_by_readers_that_resume_beside_a_hundred_writers(world: World) -> None:
    """Writers in transactions of any length; readers that take up a cursor of another reader at each page."""
    start = Reader(world).cursor
    made: list[UUID] = []
    writing = [20]

    def write() -> None:
        for _ in range(5):
            with transaction(world) as connection:
                ids = [insert(world, connection) for _ in range(2)]
                connection.execute(text("SELECT pg_sleep(random() * 0.02)"))
            made.extend(ids)
        writing[0] -= 1

    def read() -> list[FeedEvent]:
        reader = Reader(world, candidates=3)
        reader.cursor = start
        found: list[FeedEvent] = []
        while True:
            over = not writing[0]
            found += reader.read()
            if over and not reader.held:
                return found

    for _ in range(5):
        writing[0] = 10
        before = len(made)
        *_, one, other = race(*[write] * 10, read, read)
        start = max(start, one[-1].position)
        assert len(one) == len(made) - before == 100
        assert one == other, "two readers see one order"
        assert {each.position.job_id for each in one} == set(made[before:])
        assert [each.position for each in one] == sorted({each.position for each in one})


def test_retention_says_up_to_where_events_may_be_missing(world: World) -> None:
    before = world.call(feed.head)
    assert before.deleted == 0
    old = world.ended(Status.SUCCESS)
    young = world.ended(Status.SUCCESS)
    last = max(each.position.txid for each in from_start(world) if each.position.job_id == old)
    world.edit(old, "finished_at = now() - interval '2 hours'")
    assert world.retire(LAST, 3600.0) == 1
    head = world.call(feed.head)
    assert head.deleted == last
    assert head.deleted >= before.position.txid, "a cursor of before is known to lack events"
    assert {each.position.job_id for each in from_start(world)} == {young}
    assert world.retire(LAST, 3600.0) == 0
    assert world.call(feed.head).deleted == last


def from_start(world: World) -> list[FeedEvent]:
    reader = Reader(world)
    reader.cursor = FeedPosition(1)
    return reader.read()


def test_events_of_before_the_migration_are_not_in_the_feed(world: World) -> None:
    job_id = world.insert()
    world.sql("UPDATE job_events SET txid = NULL WHERE job_id = :id RETURNING seq", id=job_id)
    assert from_start(world) == []
    world.edit(job_id, "finished_at = now() - interval '2 hours', status = 'SUCCESS', ready = false")
    assert world.retire(LAST, 3600.0) == 1
    assert world.call(feed.head).deleted == 0


def test_a_page_reads_as_much_beside_a_long_history_as_beside_a_short_one(world: World) -> None:
    def blocks() -> int:
        reader = Reader(world)
        world.insert_many(5)

        def explain(connection: Connection) -> int:
            parameters = feed._parameters(EVERYTHING) | {
                "txid": str(reader.cursor.txid),
                "job_id": UUID(int=0),
                "seq": 0,
                "candidates": 500,
                "max_bytes": 1_000_000,
            }
            settings, statement = str(feed.PAGE).split("WITH candidates", 1)
            plan = connection.execute(
                text(f"{settings} EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) WITH candidates{statement}"), parameters
            ).scalar_one()[0]["Plan"]
            return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])

        return world.call(explain)

    few = blocks()
    for _ in range(20):
        world.call(jobs.insert, [world.new() for _ in range(500)])
    world.call(analyze)
    assert blocks() < 2 * few + 20


def analyze(connection: Connection) -> None:
    connection.execute(text("ANALYZE job_events; ANALYZE jobs"))
