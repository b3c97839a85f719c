"""A claim reads as little with a million waiting jobs as with ten, whatever stands before them and whoever looks on.

What it reads is counted in blocks: times are for `bench`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from jobcore.store import claims, limits
from jobcore.store.database import Database
from jobcore.store.prepared import BY_INDEX
from tests.integration.store.world import LEASE_S, QUEUE, TYPES, World, empty

WAITING = 1_000_000
HELD = 100_000
CLAIMED = 3_000
BLOCKS = 60
"""A claim of one job: three levels of two or three indexes, a row and its new version, its event."""

FILL = """
INSERT INTO jobs (id, task_type, queue, rank, status, ready, run_at, input, max_attempts, concurrency_key, gate)
SELECT CAST(CASE WHEN CAST(:key AS text) IS NULL THEN '1' ELSE '2' END || lpad(to_hex(n), 31, '0') AS uuid),
       'echo', :queue, now() - interval '1 day' + n * interval '10 ms', 'PENDING', CAST(:key AS text) IS NULL,
       now() - interval '1 day', '{}', 1, CAST(:key AS text), CASE WHEN CAST(:key AS text) IS NOT NULL THEN 'key' END
FROM generate_series(1, CAST(:count AS integer)) AS n
"""


@pytest.fixture(scope="module")
def crowded(module_database: str) -> Iterator[World]:
    """A million jobs in one queue, a tenth of which are held back at its head by a full key; statistics are stale."""
    with World(module_database) as world:
        world.call(empty)
        world.insert()  # makes the queue
        for count, key in ((HELD, "full"), (WAITING - HELD, None)):
            world.call(fill, count, key)
        yield world


def fill(connection: Connection, count: int, key: str | None) -> None:
    connection.execute(text(FILL), {"queue": QUEUE, "count": count, "key": key})


def blocks_of_a_claim(world: World, worker: UUID) -> int:
    """How many blocks of tables and indexes one more claim touches."""

    def measure(connection: Connection) -> int:
        take(connection, worker)  # now the statement is prepared on this connection
        [name] = connection.execute(
            text("SELECT name FROM pg_prepared_statements WHERE name LIKE 'longrun_claim%'")
        ).scalars()
        explain = f"""{BY_INDEX} EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)
            EXECUTE {name} ('{QUEUE}', '{worker}', 0, 1, 8, '{{}}', ARRAY['wait'], ARRAY['echo'], 0, {LEASE_S})"""
        plan = connection.execute(text(explain)).scalar_one()[0]["Plan"]
        return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])

    return world.call(measure)


def take(connection: Connection, worker: UUID, limit: int = 1) -> int:
    taken = claims.claim(
        connection, queue=QUEUE, worker_id=worker, slot=0, limit=limit, quick=["echo"], types=TYPES, lease_s=LEASE_S
    )
    return len(taken.claims)


@contextmanager
def held_snapshot(database: Database) -> Iterator[None]:
    """A backup that looks at the database all the while, so that nothing dead can be cleared away."""
    with database.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        connection.execute(text("SELECT count(*) FROM queues"))
        yield


@pytest.mark.timeout(300)
def test_a_claim_among_a_million_reads_a_few_blocks(crowded: World) -> None:
    worker = crowded.worker()
    assert blocks_of_a_claim(crowded, worker) <= BLOCKS
    crowded.call(lambda connection: connection.execute(text("ANALYZE jobs")) and None)
    assert blocks_of_a_claim(crowded, worker) <= BLOCKS


@pytest.mark.timeout(300)
def test_a_claim_is_planned_once_however_many_wait(crowded: World) -> None:
    worker = crowded.worker()

    def plans(connection: Connection) -> tuple[int, int]:
        for _ in range(8):
            take(connection, worker)
        columns = "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name LIKE 'longrun_claim%'"
        [row] = connection.execute(text(columns)).all()
        return row[0], row[1]

    crowded.call(lambda connection: connection.execute(text("ANALYZE jobs")) and None)
    generic, custom = crowded.call(plans)
    assert generic >= 8
    assert custom == 0


@pytest.mark.timeout(300)
def test_thousands_of_claims_under_a_held_snapshot_make_the_next_no_dearer(crowded: World) -> None:
    worker = crowded.worker()
    with held_snapshot(crowded.db):
        claimed = 0
        while claimed < CLAIMED:
            claimed += crowded.call(take, worker, 64)
        crowded.refresh_low_ranks()
        assert blocks_of_a_claim(crowded, worker) <= BLOCKS


@pytest.mark.timeout(300)
def test_unblocking_a_crowded_key_reads_what_gets_a_permit_and_not_all_that_is_blocked(crowded: World) -> None:
    def blocks(connection: Connection) -> int:
        lock, _, query = limits.UNBLOCK.text.partition("WITH free")
        explain = text(f"{lock} EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) WITH free{query}")
        plan = connection.execute(explain, {"names": ["full"]}).scalar_one()[0]["Plan"]
        return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])

    assert crowded.call(limits.unblock, ["full"]).queues == {QUEUE: 1}
    assert crowded.call(blocks) <= BLOCKS
    assert crowded.call(limits.blocked_keys).keys == []
