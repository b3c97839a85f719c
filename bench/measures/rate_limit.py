"""Rate limits over three workers: never too many starts, and none later than it is allowed.

All jobs are queued at once, with a limit of 100 starts a second for their queue or for their rate key. From the times
of the starts (the `at` of their RUNNING events) follow the most starts within any window, and how late each start was:
a start is allowed as soon as the one 100 starts before it leaves the window.
"""

from __future__ import annotations

from collections.abc import Sequence

from uuid_utils.compat import uuid7

from bench.figures import Row
from bench.measures.drain import BATCH, ECHO
from bench.scale import Scale
from bench.stage import Running, Stage, say
from bench.systems import LONGRUN
from jobcore.models import NewJob
from jobcore.store import jobs, queues, rate_limits
from jobcore.store.database import Database
from jobcore.store.rate_limits import RateLimit

KEY = "bench"
RATE = 100
WINDOW_S = 1.0
WORKERS = 3
STARTS = """
SELECT extract(epoch FROM at)::float8 FROM job_events
WHERE kind = 'state' AND data ->> 'status' = 'RUNNING' ORDER BY at
"""


def most_within(starts: Sequence[float], window_s: float) -> int:
    """The most starts within any window of this length."""
    first = most = 0
    for number, at in enumerate(starts):
        while starts[first] <= at - window_s:
            first += 1
        most = max(most, number - first + 1)
    return most


def lateness_ms(starts: Sequence[float]) -> list[float]:
    """How much later than allowed each start was, in milliseconds, in order of size; the first window is left out."""
    return sorted(1000 * (later - earlier - WINDOW_S) for earlier, later in zip(starts, starts[RATE:], strict=False))


def run(stage: Stage, seconds: int, *, by_queue: bool) -> list[float]:
    """The times of the starts, in order."""
    with stage.run(LONGRUN, worker=False, api=False) as running:
        queue(running, int((seconds + 2) * RATE), by_queue=by_queue)
        for _ in range(WORKERS):
            running.start_worker()
        running.finish(timeout_s=4 * seconds + 60, poll_s=0.5)
        return [float(at) for (at,) in running.database.rows(STARTS)]


def queue(running: Running, count: int, *, by_queue: bool) -> None:
    """Set the limit and insert the jobs."""
    database = Database(running.database.url, name="bench")
    key = None if by_queue else KEY
    if by_queue:
        database.call(
            queues.change,
            "default",
            paused=None,
            set_max=False,
            max_running=None,
            set_rate=True,
            max_starts=RATE,
            window_s=WINDOW_S,
        )
    else:
        database.call(rate_limits.put, RateLimit(KEY, RATE, WINDOW_S))
    for first in range(0, count, BATCH):
        batch = [
            NewJob(uuid7(), "echo", "default", ECHO, max_attempts=3, rate_key=key)
            for _ in range(min(BATCH, count - first))
        ]
        database.call(jobs.insert, batch)
    database.close()


def measure(stage: Stage, scale: Scale) -> list[Row]:
    rows = []
    for by_queue in (True, False):
        what = "queue" if by_queue else "rate key"
        say(f"rate_limit: {RATE} starts a second of a {what}, {WORKERS} workers, {scale.rate_limit_s} s")
        starts = run(stage, scale.rate_limit_s, by_queue=by_queue)
        late = lateness_ms(starts)
        most, in_all = most_within(starts, WINDOW_S), most_within(starts, scale.rate_limit_s)
        rows.append(
            Row(
                what=f"rate limit of {RATE} a second of a {what}: most starts in any {scale.rate_limit_s} s",
                longrun=f"{in_all:,}",
                note=f"of {RATE * scale.rate_limit_s:,.0f} allowed; most in any second {most}; a start came "
                f"{late[len(late) // 2]:.0f} ms after it was allowed (median), {late[int(len(late) * 0.99)]:.0f} ms "
                f"(p99); {WORKERS} workers",
            )
        )
    return rows
