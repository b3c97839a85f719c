"""Why a job does not run: one cause, found in an order that names the thing which must change first.

A job whose time has not come needs nothing else yet: no worker, no permit. Once it is due, it needs a worker for its
queue, one that knows its task type, a queue that is not paused, a permit of each of its keys, one of its queue, a child
with few runs if it is suspected, and its turn.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Connection

from jobcore.models import Cause, Estimate, Method, Why
from jobcore.states import TERMINAL, Status
from jobcore.store import rate_situations, situations, suspects
from jobcore.store.rate_situations import Rate
from jobcore.store.situations import COUNT_MAX, Pace, Situation
from jobcore.store.transactions import transaction
from jobcore.store.why_sentences import sentences

ENOUGH: Final = 3
"""From how many jobs on their ends tell the pace of a queue."""
FARTHEST: Final = timedelta(days=366)
"""An estimate farther away says nothing."""

BY_RATE: Final = frozenset({Cause.RATE_LIMIT, Cause.QUEUE_RATE_LIMIT})
IN_LINE: Final = BY_RATE | {Cause.QUEUE_PAUSED, Cause.CONCURRENCY_LIMIT, Cause.QUEUE_LIMIT, Cause.TURN}


def explain(connection: Connection, job_id: UUID, owner: str | None = None) -> Why | None:
    """Why a job does not run now; None if there is no such job. It reads one snapshot.

    With an owner, it names only jobs of that owner: of others, numbers at most.
    """
    with transaction(connection):
        situation = situations.find(connection, job_id)
        if situation is None:
            return None
        rate = _rate_limit(connection, situation)
        fewer_than = suspects.needs_fewer_runs_than(connection, job_id) if situation.suspected else None
        cause = cause_of(situation, rate, fewer_than)
        full = cause in (Cause.CONCURRENCY_LIMIT, Cause.QUEUE_LIMIT)
        position = situations.before(connection, situation) + 1 if cause in IN_LINE else None
        return Why(
            situation.status,
            cause,
            _since(situation, cause),
            *sentences(situation, cause, rate, fewer_than),
            situations.blocking(connection, situation, owner) if full else (),
            position,
            _estimate(connection, situation, cause, position, rate),
        )


def _rate_limit(connection: Connection, seen: Situation) -> Rate | None:
    """The rate limit that concerns the job: that of its key while it blocks the job, else that of its queue."""
    if seen.rate_blocked and seen.rate_key:
        return rate_situations.of_key(connection, seen.rate_key)
    return rate_situations.of_queue_named(connection, seen.queue) if seen.queue_rated else None


def cause_of(seen: Situation, rate: Rate | None = None, fewer_than: int | None = None) -> Cause:
    """The one thing that must change first before the job runs.

    `fewer_than`: a child must have fewer runs than this to take the suspected job, and none has.
    """
    if seen.status in TERMINAL:
        stops = seen.status is Status.CANCELLED and seen.cancel_stopped_at is None
        return Cause.STOPPING if stops else Cause.ENDED
    if seen.status is Status.RUNNING:
        return Cause.RUNNING
    if seen.expires_at is not None and seen.expires_at <= seen.now:
        return Cause.EXPIRED
    if seen.waits and seen.run_at > seen.now:
        return Cause.RETRY if seen.tried else Cause.RUN_AT
    if not seen.serving:
        return Cause.QUEUE_NOT_SERVED
    if not seen.knowing:
        return Cause.TASK_TYPE_UNKNOWN
    if seen.paused:
        return Cause.QUEUE_PAUSED
    if seen.blocked:
        return Cause.CONCURRENCY_LIMIT
    if seen.rate_blocked:
        return Cause.RATE_LIMIT
    if seen.queue_limit is not None and seen.queue_taken >= seen.queue_limit:
        return Cause.QUEUE_LIMIT
    if rate and rate.next_start_at is not None:
        return Cause.QUEUE_RATE_LIMIT
    return Cause.TURN if fewer_than is None else Cause.SUSPECTED


def _since(seen: Situation, cause: Cause) -> datetime | None:
    """When the cause began."""
    if cause is Cause.QUEUE_PAUSED:
        return _latest(seen.ready_since, seen.paused_at) if seen.paused_at else None
    return {
        Cause.ENDED: seen.finished_at,
        Cause.STOPPING: seen.cancel_requested_at,
        Cause.RUNNING: seen.started_at,
        Cause.EXPIRED: seen.expires_at,
        Cause.RETRY: seen.noted_at,
        Cause.RUN_AT: seen.created_at,
        Cause.QUEUE_NOT_SERVED: _latest(seen.ready_since, seen.served_until),
        Cause.TASK_TYPE_UNKNOWN: _latest(seen.ready_since, seen.known_until),
    }.get(cause, seen.ready_since)


def _latest(*times: datetime | None) -> datetime:
    return max(time for time in times if time is not None)


def _estimate(
    connection: Connection, seen: Situation, cause: Cause, position: int | None, rate: Rate | None
) -> Estimate | None:
    """When the job may start; None if that depends on somebody's action, or nothing is known."""
    if cause in BY_RATE and position is not None:
        return _by_rate(seen, position, rate)
    if cause in (Cause.RUN_AT, Cause.RETRY):
        return Estimate(seen.run_at, Method.RUN_AT, "its run_at, if a worker has room for it then")
    places = _places(seen, cause)
    if position is None or not places:
        return None
    pace = situations.pace(connection, seen)
    found = _rate(pace, places, seen, in_queue=not seen.blocked)
    if found is None or position / found[0] > FARTHEST.total_seconds():
        return None
    a_second, method, numbers = found
    ahead = (
        f"more than {COUNT_MAX:,} tasks are before it, so not earlier"
        if position > COUNT_MAX
        else f"{position - 1:,} tasks are before it"
    )
    return Estimate(seen.now + timedelta(seconds=position / a_second), method, f"{ahead}; {numbers}")


def _by_rate(seen: Situation, position: int, rate: Rate | None) -> Estimate:
    """When the rate limit allows the start, after those of the jobs before it."""
    if rate is None:
        return Estimate(seen.now, Method.RATE, "its rate_key has no limit now")
    at = (rate.next_start_at or seen.now) + timedelta(seconds=(position - 1) / rate.a_second)
    return Estimate(at, Method.RATE, f"{position - 1:,} tasks are before it; {rate.a_second:.3g} a second may start")


def _places(seen: Situation, cause: Cause) -> int:
    """How many jobs of its line can run at once; 0 if it cannot start before somebody acts."""
    limit = {Cause.CONCURRENCY_LIMIT: seen.key_limit, Cause.QUEUE_LIMIT: seen.queue_limit}.get(cause)
    return 0 if cause is Cause.QUEUE_PAUSED else min(seen.places, seen.places if limit is None else limit)


def _rate(pace: Pace, places: int, seen: Situation, *, in_queue: bool) -> tuple[float, Method, str] | None:
    """How many jobs a second leave the line, and how that is known.

    The queue was never empty since the job became ready, so what ended since then tells its pace. Until enough has
    ended, and for the line of a key, the average run and the number of places tell it.
    """
    if in_queue and pace.recent >= ENOUGH and pace.rate > 0:
        waited_s = (seen.now - seen.ready_since).total_seconds()
        return pace.rate, Method.THROUGHPUT, f"{pace.rate:.3g} a second ended in the last {waited_s:.3g} s"
    if pace.run_s is None:
        return None
    run_s = max(pace.run_s, 0.001)
    numbers = f"the last {pace.ended} took {run_s:.3g} s on average, and {places} can run at once"
    return places / run_s, Method.RUN_TIMES, numbers
