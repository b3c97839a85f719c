"""Any sequence of store functions, played by Hypothesis on a real PostgreSQL, keeps the promises of a job."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from jobcore.models import Claim, NewEvent
from jobcore.states import TERMINAL, Status
from jobcore.store import cancellations, expiry, rescue, workers
from jobcore.store.cancellations import CompletedCancel
from tests.integration.appending import append_events
from tests.integration.store.world import HIDDEN, World, empty

QUEUES = ("a", "b")
CAUSES = st.sampled_from(["handed_back", "crash", "loss", "timeout"])
JOBS = """
SELECT jobs.*, seqs, endings FROM jobs JOIN LATERAL (
    SELECT array_agg(seq ORDER BY seq) AS seqs,
           count(*) FILTER (WHERE kind = 'state' AND data ->> 'status' IN ('SUCCESS', 'FAILED', 'CANCELLED')) AS endings
    FROM job_events WHERE job_id = jobs.id
) AS events ON true
"""
OCCUPIED = """
SELECT count(*) AS jobs FROM jobs
WHERE queue = :queue AND (status = 'RUNNING' OR status = 'CANCELLED' AND cancel_stopped_at IS NULL)
"""
FROZEN = ("status", "fence", "attempt", "result", "error", "last_seq", "finished_at")


class StoreMachine(RuleBasedStateMachine):
    """Jobs in two queues, workers that come and die, and runs that may have lost their claim long ago."""

    jobs = Bundle("jobs")
    fleet = Bundle("fleet")
    runs = Bundle("runs")

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.accepted = 0
        self.fences: dict[UUID, int] = {}
        self.ended: dict[UUID, tuple[Any, ...]] = {}
        self.lives: Counter[UUID] = Counter()
        self.limits: dict[str, int | None] = {}
        world.call(empty)

    @rule(
        target=jobs,
        queue=st.sampled_from(QUEUES),
        priority=st.integers(0, 9),
        delay_s=st.sampled_from([None, 0.0, 60.0]),
        max_attempts=st.integers(1, 2),
        fairness_key=st.sampled_from([None, "a", "b"]),
    )
    def insert(self, **fields: Any) -> UUID:
        self.accepted += 1
        return self.world.insert(**fields)

    @rule(target=fleet)
    def start_worker(self) -> UUID:
        return self.world.worker(*QUEUES)

    @rule(target=runs, worker=fleet, queue=st.sampled_from(QUEUES), limit=st.integers(1, 4))
    def claim(self, worker: UUID, queue: str, limit: int) -> Any:
        taken = self.world.take(worker, limit, queue=queue, quick=["echo"])
        for claim in taken:
            assert claim.fence > self.fences.get(claim.id, 0), "a fence was handed out twice"
        most = self.limits.get(queue)
        if taken and most is not None:
            [row] = self.world.sql(OCCUPIED, queue=queue)
            assert row["jobs"] <= most, "more run than the limit says"
        return multiple(*taken)

    @rule(queue=st.sampled_from(QUEUES), most=st.sampled_from([None, 0, 1, 2]))
    def limit(self, queue: str, most: int | None) -> None:
        self.world.limit_queue(most, queue)
        self.limits[queue] = most

    @rule(run=runs, status=st.sampled_from([Status.SUCCESS, Status.FAILED]))
    def finish(self, run: Claim, status: Status) -> None:
        self.world.finish(run, status, events=(NewEvent("log", {}),))

    @rule(run=runs, retry_s=st.sampled_from([0.0, 60.0]))
    def retry(self, run: Claim, retry_s: float) -> None:
        self.world.finish(run, Status.PENDING, retry_s=retry_s)

    @rule(run=runs, cause=CAUSES)
    def release(self, run: Claim, cause: Any) -> None:
        self.world.release(run, cause)

    @rule(run=runs, count=st.integers(0, 3))
    def append(self, run: Claim, count: int) -> None:
        self.world.call(append_events, run.id, run.fence, [NewEvent("log", {})] * count, progress={"done": count})

    @rule(job=jobs)
    def cancel(self, job: UUID) -> None:
        self.world.cancel(job)

    @rule(job=jobs)
    def retry_by_hand(self, job: UUID) -> None:
        if self.world.retry(job):
            del self.ended[job]
            self.lives[job] += 1

    @rule(run=runs)
    def stopped(self, run: Claim) -> None:
        self.world.call(cancellations.complete, [CompletedCancel(run.id, run.fence, "signal")])

    @rule(job=jobs)
    def overdue(self, job: UUID) -> None:
        self.world.sql("UPDATE jobs SET expires_at = now() WHERE id = :id RETURNING id", id=job)
        self.world.call(expiry.expire)

    @rule(job=jobs)
    def promote(self, job: UUID) -> None:
        self.world.sql("UPDATE jobs SET run_at = now() WHERE id = :id RETURNING id", id=job)
        self.world.promote()

    @rule()
    def refresh_low_ranks(self) -> None:
        self.world.refresh_low_ranks()

    @rule(worker=fleet)
    def declare_dead_and_rescue(self, worker: UUID) -> None:
        self.world.call(workers.declare_dead, {worker: 0})
        self.world.release_many(self.world.call(rescue.lost))
        assert self.world.lost() == []

    @invariant()
    def promises_hold(self) -> None:
        rows = self.world.sql(JOBS)
        assert len(rows) == self.accepted, "a job vanished"
        for row in rows:
            self._check(row)
        assert self.world.sql(HIDDEN) == [], "a ready job lies below its queue's low-water rank"

    def _check(self, row: Any) -> None:
        terminal = row["status"] in TERMINAL
        assert row["fence"] >= self.fences.get(row["id"], 0), "a fence fell"
        self.fences[row["id"]] = row["fence"]
        assert row["endings"] == self.lives[row["id"]] + int(terminal), "not exactly one terminal event a life"
        assert row["seqs"] == list(range(1, row["last_seq"] + 1)), "a gap in the events"
        assert (row["status"] != Status.RUNNING) or row["worker_id"] is not None
        assert row["attempt"] - row["earlier_attempts"] >= row["crashes"] + row["losses"] >= 0
        end = tuple(row[name] for name in FROZEN)
        if terminal:
            assert self.ended.setdefault(row["id"], end) == end, "an ended job changed"
        else:
            assert row["id"] not in self.ended, "an ended job came back"


def test_no_sequence_of_store_functions_breaks_a_promise(world: World) -> None:
    run_state_machine_as_test(
        lambda: StoreMachine(world),  # type: ignore[arg-type]
        settings=settings(max_examples=40, stateful_step_count=40),
    )
