"""The time of a claim with ten jobs in the table, with millions of finished jobs, and with a million waiting jobs.

Claims alternate between two databases on one server, so that other load on the machine affects both.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from uuid import UUID

from uuid_utils.compat import uuid7

from bench import database
from bench.database import UUID7_NOW as UUID7
from bench.figures import Row
from bench.scale import Scale
from bench.stage import Stage, say
from jobcore import migrations
from jobcore.models import NewJob
from jobcore.store import claims, jobs, workers
from jobcore.store.database import Database

QUEUE = "default"
FEW = 10
LEASE_S = 3_600.0
STEP = 250_000
FINISHED = """
INSERT INTO jobs (id, task_type, queue, rank, status, ready, run_at, input, max_attempts, fence, attempt, last_seq,
                  result, started_at, finished_at)
SELECT {UUID7}, 'echo', 'default', now() - interval '1 day', 'SUCCESS', false, now(), '{"hello": "world"}', 3, 1, 1, 3,
       '{"hello": "world"}', now(), now()
FROM generate_series(1, %s)
"""
WAITING = """
INSERT INTO jobs (id, task_type, queue, rank, status, ready, run_at, input, max_attempts)
SELECT {UUID7}, 'echo', 'default', now(), 'PENDING', true, now(), '{"hello": "world"}', 3
FROM generate_series(1, %s)
"""


class Table:
    """One database, and a worker that claims from it."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.url = database.create(stage.postgres, name)
        migrations.upgrade(self.url)
        self.sql = database.Database(self.url)
        self._store = Database(self.url, name="bench")
        self._worker: UUID = uuid7()
        self._store.call(
            workers.register,
            self._worker,
            host="bench",
            pid=0,
            queues=[QUEUE],
            concurrency=1,
            version="-",
            task_types=["echo"],
        )
        self.top_up(FEW)

    def top_up(self, count: int) -> None:
        """Queue this many more jobs."""
        self._store.call(jobs.insert, [NewJob(uuid7(), "echo", QUEUE, {}, max_attempts=3) for _ in range(count)])

    def fill(self, insert: str, count: int) -> None:
        """Add rows, then vacuum and checkpoint."""
        for first in range(0, count, STEP):
            self.sql.execute(insert.replace("{UUID7}", UUID7), min(STEP, count - first))
        self.sql.execute("VACUUM ANALYZE jobs")
        self.sql.execute("CHECKPOINT")

    def claim_s(self) -> float:
        """Seconds that a claim of one job takes; a new job replaces it."""
        began = time.perf_counter()
        taken = self._store.call(
            claims.claim,
            queue=QUEUE,
            worker_id=self._worker,
            slot=0,
            limit=1,
            quick=[],
            types=["echo"],
            lease_s=LEASE_S,
        )
        seconds = time.perf_counter() - began
        if len(taken.claims) != 1:
            raise RuntimeError("the claim found nothing")
        self.top_up(1)
        return seconds

    def close(self) -> None:
        self.sql.close()
        self._store.close()


def compare(few: Table, many: Table, samples: int) -> tuple[Sequence[float], Sequence[float]]:
    """Claim from the two tables in turn, after an untimed warm-up."""
    for table in (few, many):
        for _ in range(20):
            table.claim_s()
    pairs = [(few.claim_s(), many.claim_s()) for _ in range(samples)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def measure(stage: Stage, scale: Scale) -> list[Row]:
    few, many = Table(stage, "few"), Table(stage, "many")
    rows = []
    for what, insert, count in (
        ("finished", FINISHED, scale.finished_rows),
        ("waiting, too", WAITING, scale.waiting_rows),
    ):
        say(f"claims: {count:,} rows {what}")
        many.fill(insert, count)
        small, large = (statistics.median(values) for values in compare(few, many, scale.claims))
        say(f"  {small * 1000:.2f} ms with {FEW} rows, {large * 1000:.2f} ms")
        rows.append(
            Row(
                what=f"a claim with {count:,} rows {what}",
                longrun=f"{large * 1000:.2f} ms",
                ratio=f"{large / small:.2f}x of {FEW} rows ({small * 1000:.2f} ms)",
                note=f"median of {scale.claims}, one job each, commit included, the two tables in turn",
            )
        )
    few.close()
    many.close()
    return rows
