"""Every metric of Longrun, its unit and the attributes that tell its series apart; `docs/metrics.md` lists the same.

Counters and histograms are recorded by the process that did the work. Gauges are what the leading keeper reads in
PostgreSQL: every other process reports none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final, Protocol

from jobcore.models import Change, Claim
from jobcore.states import TERMINAL, Status
from jobcore.telemetry.instruments import Gauge, counter, enabled, histogram

TASK_TYPE: Final = "longrun.task_type"
QUEUE: Final = "longrun.queue"
STATUS: Final = "longrun.job.status"
STATE: Final = "longrun.state"
LANE: Final = "longrun.lane"
REASON: Final = "longrun.reason"
ERROR: Final = "error.type"
THREAD: Final = "thread.name"

OTHER: Final = "_OTHER"
QUEUES_MAX: Final = 200
"""How many queues of a process have series of their own; the others share `_OTHER`, because clients name queues."""

CALLS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
WAITS: Final = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400)
RUNS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400, 43_200)

# Recorded by the process that did the work

_accepted = counter("longrun.jobs.accepted", "{job}", "Jobs whose row was committed.", TASK_TYPE, QUEUE)
_ended = counter(
    "longrun.jobs.ended",
    "{job}",
    "Jobs that ended, by the status they ended in; of FAILED ones `error.type` is the kind of error.",
    *(TASK_TYPE, QUEUE, STATUS, ERROR),
)
_requeued = counter(
    "longrun.jobs.requeued",
    "{job}",
    "Jobs that went back to their queue: retry, crash, loss, timeout (killed), handed_back (a deploy), manual.",
    *(TASK_TYPE, QUEUE, REASON),
)
_claim_time = histogram("longrun.claim.duration", CALLS, "Time that one claim took in PostgreSQL.", QUEUE)
_pickup_time = histogram(
    "longrun.job.pickup.duration", WAITS, "Time from a job being ready to its run being claimed.", TASK_TYPE, QUEUE
)
_run_time = histogram(
    "longrun.job.run.duration",
    RUNS,
    "Time that the task's own code ran, by the status the run led to; runs that were killed are not in it.",
    *(TASK_TYPE, QUEUE, STATUS),
)
_wakeups = counter("longrun.wakeups.sent", "{wake-up}", "Wake-ups that Redis took.", QUEUE)
_workers_lost = counter("longrun.workers.lost", "{worker}", "Workers declared dead after their lease ended.")
_threads_failed = counter(
    "longrun.threads.failed",
    "{failure}",
    "Threads that raised an error and were restarted (`error`), or stalled (`stall`).",
    *(THREAD, REASON),
)
_workers_unresponsive = counter(
    "longrun.workers.unresponsive", "{worker}", "Workers that took no wake-up although some waited."
)
LOOP_LAG: Final = Gauge(
    "longrun.loop.lag",
    "s",
    "The longest time by which an event loop of the worker's children was late, within the last 15 to 30 s.",
)

# Read by the leading keeper

KEEPER_LEADS: Final = Gauge(
    "longrun.keeper.leader",
    "{keeper}",
    "1 where the leading keeper is; 0 in every other process with a keeper, and while the database is unavailable.",
)
JOBS_OPEN: Final = Gauge(
    "longrun.jobs.open",
    "{job}",
    "Jobs that have not ended: ready, waiting for their time, or running; counted up to 20,000 a queue.",
    *(TASK_TYPE, QUEUE, STATE),
)
JOBS_UNSERVED: Final = Gauge(
    "longrun.jobs.unserved",
    "{job}",
    "Ready jobs that no active worker can run: none serves their queue, or none knows their task type.",
    *(TASK_TYPE, QUEUE),
)
JOBS_RATE_BLOCKED: Final = Gauge(
    "longrun.jobs.rate_blocked",
    "{job}",
    "Jobs that a rate limit keeps from starting now; counted up to 20,000.",
    QUEUE,
)
OLDEST_READY: Final = Gauge(
    "longrun.queue.oldest.age", "s", "How long the oldest ready job of a queue has been ready; 0 if none is.", QUEUE
)
WORKERS: Final = Gauge(
    "longrun.workers",
    "{worker}",
    "Workers that serve a queue and are not known to be dead: active or draining. One of two queues counts in both.",
    *(QUEUE, STATE),
)
CHILDREN: Final = Gauge(
    "longrun.children",
    "{process}",
    "Child processes of those workers: free ones can take a job now, full ones cannot (all of a draining worker).",
    *(QUEUE, STATE),
)
RUNNING: Final = Gauge("longrun.workers.running", "{job}", "Jobs that those workers run, by lane.", *(QUEUE, LANE))
ROOM: Final = Gauge(
    "longrun.workers.room",
    "{job}",
    "How many more jobs of a lane those workers could start now; `async` and `thread` share their room.",
    *(QUEUE, LANE),
)
HEARTBEAT_AGE: Final = Gauge(
    "longrun.worker.heartbeat.age", "s", "Age of the oldest heartbeat of the workers of a queue.", QUEUE
)
READ_BY_KEEPER: Final = (
    *(JOBS_OPEN, JOBS_UNSERVED, JOBS_RATE_BLOCKED, OLDEST_READY),
    *(WORKERS, CHILDREN, RUNNING, ROOM, HEARTBEAT_AGE),
)


class Submitted(Protocol):
    """A job, or a record of one."""

    @property
    def task_type(self) -> str:
        """The name of its task type."""

    @property
    def queue(self) -> str:
        """The name of its queue."""


def accepted(jobs: Iterable[Submitted]) -> None:
    """Count jobs that were committed."""
    for (task_type, name), count in Counter((job.task_type, job.queue) for job in jobs).items():
        _accepted.add(count, {TASK_TYPE: task_type, QUEUE: queue(name)})


def changed(changes: Iterable[Change]) -> None:
    """Count stored transitions: the jobs that ended, and those that went back to their queue."""
    if not enabled():
        return
    for (task_type, name, status, why), count in Counter(map(_transition, changes)).items():
        attributes = {TASK_TYPE: task_type, QUEUE: queue(name)}
        if status in TERMINAL:
            _ended.add(count, attributes | {STATUS: status} | ({ERROR: why} if why else {}))
        else:
            _requeued.add(count, attributes | {REASON: why})


def _transition(change: Change) -> tuple[str, str, Status, str]:
    if change.status is Status.PENDING:
        why = change.data.get("reason", "retry")
    else:
        why = (change.data.get("error") or {}).get("kind", "")
    return change.task_type, change.queue, change.status, why


def claimed(name: str, claims: Iterable[Claim], duration_s: float) -> None:
    """Record a claim that took `duration_s` seconds, and how long each job it took had been ready."""
    if not enabled():
        return
    _claim_time.record(duration_s, {QUEUE: queue(name)})
    for claim in claims:
        if claim.ready_s is not None:
            _pickup_time.record(claim.ready_s, {TASK_TYPE: claim.task_type, QUEUE: queue(name)})


def ran(claim: Claim, status: Status, duration_s: float) -> None:
    """Record a run of `duration_s` seconds, and the status it leads to."""
    if enabled():
        _run_time.record(duration_s, {TASK_TYPE: claim.task_type, QUEUE: queue(claim.queue), STATUS: status})


def woken(name: str) -> None:
    """Count a wake-up that was sent."""
    _wakeups.add(1, {QUEUE: queue(name)})


def workers_lost(count: int) -> None:
    """Count workers that were declared dead."""
    _workers_lost.add(count)


def thread_failed(name: str, why: str) -> None:
    """Count a thread that failed: `error` if it raised one, `stall` if it stalled."""
    _threads_failed.add(1, {THREAD: name, REASON: why})


def worker_unresponsive() -> None:
    """Count a worker that takes no wake-ups although some wait."""
    _workers_unresponsive.add(1)


_queues: Final[set[str]] = set()


def queue(name: str) -> str:
    """The name of a queue as an attribute."""
    if name not in _queues:
        if len(_queues) >= QUEUES_MAX:
            return OTHER
        _queues.add(name)
    return name
