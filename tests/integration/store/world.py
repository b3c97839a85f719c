"""The store on a real PostgreSQL, in the words of its tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import sample
from threading import Barrier
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar
from uuid import UUID

from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

from jobcore.models import Change, Claim, Event, NewJob, Outcome
from jobcore.states import TERMINAL, Status
from jobcore.store import claims, events, jobs, low_ranks, promotion, queues, rescue, retention, suspects, workers
from jobcore.store.database import Database
from jobcore.store.outcomes import finish
from jobcore.store.releases import Cause, Release, release

QUEUE = "default"
TYPES = ("echo", "slow", "quick", "sleep", "a", "b")
"""The task types that workers know unless a test says otherwise."""
LEASE_S = 3600.0  # a test on a busy machine takes minutes
MAX_CRASHES = 3
MAX_LOSSES = 5
LOST = ("rescued", "claimed again", "cancelled", "finished")
"""How a run loses its claim, for `World.lose`."""
ERROR = {"kind": "raised", "type": "ValueError", "message": "no", "attempt": 1}

CHECK_ENDING = """
SELECT jobs.id, jobs.status, last_seq, array_agg(seq ORDER BY seq) AS seqs,
       array_agg(data ->> 'status') FILTER (WHERE kind = 'state' AND seq = last_seq) AS last_state,
       array_agg(data ->> 'status' ORDER BY seq) FILTER (
           WHERE kind = 'state' AND data ->> 'status' IN ('SUCCESS', 'FAILED', 'CANCELLED')) AS endings
FROM jobs JOIN job_events ON job_events.job_id = jobs.id
WHERE jobs.id = ANY(:ids) GROUP BY jobs.id ORDER BY array_position(:ids, jobs.id)
"""

HIDDEN = """
SELECT jobs.id FROM jobs JOIN queues ON queues.name = jobs.queue
WHERE status = 'PENDING' AND ready AND rank < low_rank
  AND (expires_at IS NULL OR expires_at > now() OR started_at IS NOT NULL)
"""

CONTRADICTIONS = "SELECT id, status, gate FROM jobs WHERE rate_blocked AND rate_key IS NULL"
"""Jobs that a rate blocks although they have no rate key."""

_TRUTH = """
(SELECT count(*) FROM jobs WHERE jobs.owner = owners.owner AND status = 'PENDING' AND delivers IS NULL),
(SELECT coalesce(sum(bytes), 0) FROM (
    SELECT owner, counted_bytes AS bytes FROM jobs
    UNION ALL SELECT owner, size FROM input_files UNION ALL SELECT owner, size FROM job_files
) AS stored WHERE stored.owner = owners.owner)
"""
MISCOUNTED = f"""
SELECT owner, queued_of(owner), bytes_of(owner), {_TRUTH} FROM (
    SELECT owner FROM owner_uses UNION SELECT owner FROM owner_use_changes UNION SELECT owner FROM jobs
) AS owners WHERE owner IS NOT NULL AND (queued_of(owner), bytes_of(owner)) <> ({_TRUTH})
"""
"""Owners whose queued jobs or stored bytes are not counted as they are."""

TABLES = (
    "jobs", "job_events", "job_steps", "job_files", "workers", "queues", "key_limits", "keeper_lease", "schedules",
    "fair_turns", "input_files", "idempotency_keys", "rate_limits", "starts", "task_types", "deleted_events",
    "api_keys", "signing_keys", "ended_sessions", "quotas", "default_quotas", "owner_uses", "owner_use_changes",
    "rollups",
)  # fmt: skip

P = ParamSpec("P")
T = TypeVar("T")


def race(*actions: Callable[[], Any]) -> list[Any]:
    """Run the actions at once, each in a thread; returns what they gave, in the order given.

    The threads start in a random order, because it decides who tends to win: else one side might win every race.
    """
    barrier = Barrier(len(actions))

    def start(action: Callable[[], Any]) -> Any:
        barrier.wait()
        return action()

    with ThreadPoolExecutor(len(actions)) as pool:
        started = {number: pool.submit(start, actions[number]) for number in sample(range(len(actions)), len(actions))}
        return [started[number].result() for number in range(len(actions))]


def empty(connection: Connection) -> None:
    """Delete every row."""
    connection.execute(text(";".join(f"DELETE FROM {table}" for table in TABLES)))


class World:
    """A database, and short names for what the store does with it."""

    def __init__(self, url: str, pool_size: int = 12) -> None:
        self.db = Database(url, name="test", pool_size=pool_size, timeout_s=120)  # some tests fill in a million rows

    def call(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one store function."""
        return self.db.call(function, *args, **kwargs)

    def new(self, **fields: Any) -> NewJob:
        """A job that waits for nothing, unless its fields say otherwise."""
        defaults: dict[str, Any] = {"task_type": "echo", "queue": QUEUE, "input": {}, "max_attempts": 3}
        return NewJob(id=uuid7(), **{**defaults, **fields})

    def insert(self, **fields: Any) -> UUID:
        """Accept one job."""
        return self.insert_many(1, **fields)[0]

    def insert_many(self, count: int, **fields: Any) -> list[UUID]:
        """Accept jobs in one statement."""
        given = [self.new(**fields) for _ in range(count)]
        self.call(jobs.insert, given)
        return [job.id for job in given]

    def worker(
        self,
        *queues: str,
        concurrency: int = 2,
        state: str = "active",
        types: Sequence[str] | None = TYPES,
        lanes: Sequence[str] | None = None,
        jobs_per_child: int = 1,
    ) -> UUID:
        """A new worker with a fresh heartbeat; `lanes` are those of its types, in the same order."""
        worker_id = uuid7()
        self.call(
            workers.register,
            worker_id,
            host="here",
            pid=1,
            queues=queues or (QUEUE,),
            concurrency=concurrency,
            version="test",
            state=state,
            task_types=types,
            lanes=lanes,
            jobs_per_child=jobs_per_child,
        )
        return worker_id

    def take(
        self,
        worker_id: UUID,
        limit: int = 1,
        *,
        queue: str = QUEUE,
        quick: Sequence[str] = (),
        types: Sequence[str] = TYPES,
        background: Sequence[str] = (),
        room: int = 0,
        slot: int = 0,
        suspected: int = suspects.ALONE,
    ) -> list[Claim]:
        """Claim up to `limit` jobs, or up to `room` of the types that run in the background."""
        return self.call(
            claims.claim,
            queue=queue,
            worker_id=worker_id,
            slot=slot,
            limit=limit,
            quick=quick,
            types=types,
            lease_s=LEASE_S,
            background=background,
            room=room,
            suspected=suspected,
        ).claims

    def running(self, worker_id: UUID | None = None, *, queue: str = QUEUE, **fields: Any) -> Claim:
        """A new job that is RUNNING; its queue must be empty."""
        job_id = self.insert(queue=queue, **fields)
        [claim] = self.take(worker_id or self.worker(queue), queue=queue)
        assert claim.id == job_id
        return claim

    def finish(self, claim: Claim, status: Status = Status.SUCCESS, **fields: Any) -> list[Change]:
        """End a run."""
        error = None if status is Status.SUCCESS else ERROR
        return self.call(finish, [Outcome(claim.id, claim.fence, status, **{"error": error, **fields})])

    def release(self, claim: Claim, cause: Cause) -> list[Change]:
        """End a claim without an outcome."""
        return self.release_many([Release(claim.id, claim.fence, cause)])

    def lose(self, claim: Claim, end: str) -> None:
        """Have the run of this claim lose it, in one of the ways of `LOST`."""
        if end == "cancelled":
            self.cancel(claim.id)
        elif end == "finished":
            self.finish(claim)
        else:
            self.release(claim, "loss")
        if end == "claimed again":
            self.take(self.worker())

    def release_many(self, releases: Sequence[Release]) -> list[Change]:
        """End claims without an outcome."""
        return self.call(release, releases, max_crashes=MAX_CRASHES, max_losses=MAX_LOSSES)

    def cancel(self, job_id: UUID) -> Change | None:
        """Cancel a job."""
        return self.call(jobs.cancel, job_id)

    def retry(self, job_id: UUID) -> Change | None:
        """Retry a job by hand."""
        return self.call(jobs.retry, job_id)

    def promote(self, batch: int = 2000) -> dict[str, int]:
        """Promote what is due; how many became ready, by queue."""
        return {done.queue: done.ready for done in self.call(promotion.promote, batch) if done.ready}

    def refresh_low_ranks(self) -> None:
        """Move every queue's low-water rank."""
        self.call(low_ranks.refresh, self.call(queues.names))

    def limit_queue(self, max_running: int | None, queue: str = QUEUE) -> None:
        """Limit how many jobs of a queue run at once."""
        self.call(queues.change, queue, paused=None, set_max=True, max_running=max_running)

    def limit_rate(self, max_starts: int | None, window_s: float = 1, queue: str = QUEUE) -> None:
        """Limit how many jobs of a queue start within a window."""
        self.call(
            queues.change,
            queue,
            paused=None,
            set_max=False,
            max_running=None,
            set_rate=True,
            max_starts=max_starts,
            window_s=window_s if max_starts else None,
        )

    def retire(self, before: UUID, age_s: float, limit: int = 500) -> int:
        """Delete jobs that ended so long ago; how many."""
        return self.call(retention.delete_ended, UUID(int=0), before, age_s, limit).jobs

    def lost(self) -> list[UUID]:
        """The RUNNING jobs that have no living worker."""
        return [release.id for release in self.call(rescue.lost)]

    def ended(self, status: Status) -> UUID:
        """A new job in this terminal status; the default queue must be empty."""
        claim = self.running()
        if status is Status.CANCELLED:
            self.cancel(claim.id)
        else:
            self.finish(claim, status)
        return claim.id

    def row(self, job_id: UUID) -> Mapping[str, Any]:
        """Every column of a job."""
        [row] = self.sql("SELECT * FROM jobs WHERE id = :id", id=job_id)
        return row

    def status(self, job_id: UUID) -> Status:
        """The status of a job."""
        return Status(self.row(job_id)["status"])

    def events(self, job_id: UUID) -> list[Event]:
        """All events of a job."""
        return self.call(events.after, job_id, 0, limit=10_000)

    def check_ending(self, *job_ids: UUID) -> list[Status]:
        """Check that each job ended once, in the status of its only terminal event, which is its last."""
        rows = self.sql(CHECK_ENDING, ids=list(job_ids))
        assert len(rows) == len(job_ids)
        for row in rows:
            assert row["status"] in TERMINAL, row
            assert row["endings"] == [row["status"]] == row["last_state"], row
            assert row["seqs"] == list(range(1, row["last_seq"] + 1)), row
        return [Status(row["status"]) for row in rows]

    def check_events(self, job_id: UUID) -> None:
        """Check that a job's events are numbered 1, 2, … up to its last_seq."""
        assert [event.seq for event in self.events(job_id)] == list(range(1, self.row(job_id)["last_seq"] + 1))

    def edit(self, job_id: UUID, assignments: str, **values: Any) -> None:
        """Change columns of a job behind the store's back, to make it old or odd."""
        self.sql(f"UPDATE jobs SET {assignments} WHERE id = :id RETURNING id", id=job_id, **values)

    def low_rank(self, queue: str = QUEUE) -> Any:
        """The low-water rank of a queue."""
        [row] = self.sql("SELECT low_rank FROM queues WHERE name = :name", name=queue)
        return row["low_rank"]

    def sql(self, statement: str, **values: Any) -> list[Mapping[str, Any]]:
        """Run a statement that returns rows."""

        def run(connection: Connection) -> list[Mapping[str, Any]]:
            return [dict(row) for row in connection.execute(text(statement), values).mappings()]

        return self.db.call(run)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.db.close()
