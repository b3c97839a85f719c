"""Metrics: each is declared here, once, with its unit and the attributes that tell its series apart.

Off unless an OTLP endpoint is set (`OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`) and
`OTEL_METRICS_EXPORTER` is not `none`; `traces.setup` starts the export. Counters and histograms are recorded by the
process that did the work. Gauges are what the leading keeper sees in PostgreSQL: every other process reports none.
`docs/metrics.md` lists the same.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from jobcore.models import Change, Claim, NewJob
from jobcore.states import TERMINAL, Status

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")

TASK_TYPE: Final = "longrun.task_type"
QUEUE: Final = "longrun.queue"
STATUS: Final = "longrun.job.status"
STATE: Final = "longrun.state"
REASON: Final = "longrun.reason"
ERROR: Final = "error.type"
THREAD: Final = "thread.name"

OTHER: Final = "_OTHER"
QUEUES_MAX: Final = 200
"""So many queues of a process have series of their own; any further ones share `_OTHER`, for clients name queues."""
STALE_S: Final = 15.0
"""What a keeper saw so many seconds ago is no longer reported."""

CALLS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
WAITS: Final = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400)
RUNS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400, 43_200)

_meter = metrics.get_meter("longrun")


@cache
def enabled() -> bool:
    """True if an OTLP endpoint for metrics is set, and neither they nor the SDK are switched off."""
    return (
        any(os.environ.get(name) for name in ENDPOINTS)
        and os.environ.get("OTEL_METRICS_EXPORTER", "").strip().lower() != "none"
        and os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"
    )


@dataclass(frozen=True, slots=True)
class Metric:
    """What is declared of a metric; `unit` in UCUM, as OpenTelemetry wants it."""

    kind: str
    name: str
    unit: str
    description: str
    attributes: tuple[str, ...]


DECLARED: Final[list[Metric]] = []


def _counter(name: str, unit: str, description: str, *attributes: str) -> metrics.Counter:
    DECLARED.append(Metric("counter", name, unit, description, attributes))
    return _meter.create_counter(name, unit, description)


def _histogram(name: str, buckets: Sequence[float], description: str, *attributes: str) -> metrics.Histogram:
    DECLARED.append(Metric("histogram", name, "s", description, attributes))
    return _meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=buckets)


class Gauge:
    """What the keeper of this process saw last, if it leads; each value by those of the gauge's attributes."""

    def __init__(self, name: str, unit: str, description: str, *attributes: str) -> None:
        DECLARED.append(Metric("gauge", name, unit, description, attributes))
        self.name = name
        self._attributes = attributes
        self._values: Mapping[tuple[str, ...], float] = {}
        self._seen_at = 0.0
        self._reported: frozenset[tuple[str, ...]] = frozenset()
        _meter.create_observable_gauge(name, [self._observe], unit, description)

    def set(self, values: Mapping[tuple[str, ...], float]) -> None:
        """Report these values, and no longer any others, until STALE_S seconds from now."""
        self._values, self._seen_at = values, time.monotonic()

    def _observe(self, _options: CallbackOptions) -> Iterable[Observation]:
        if time.monotonic() > self._seen_at + STALE_S:
            return []  # nothing is known
        values = self._values
        # the collector would keep the last value of a series that ends for minutes: it ends with a zero
        over = dict.fromkeys(self._reported - values.keys(), 0.0)
        self._reported = frozenset(values)
        return [
            Observation(value, dict(zip(self._attributes, key, strict=True)))
            for key, value in {**over, **values}.items()
        ]


# Recorded where it happens

_accepted = _counter("longrun.jobs.accepted", "{job}", "Jobs whose row was committed.", TASK_TYPE, QUEUE)
_ended = _counter(
    "longrun.jobs.ended",
    "{job}",
    "Jobs that ended, by the status they ended in; of FAILED ones `error.type` is the kind of error.",
    *(TASK_TYPE, QUEUE, STATUS, ERROR),
)
_requeued = _counter(
    "longrun.jobs.requeued",
    "{job}",
    "Jobs that went back to their queue: retry, crash, loss, timeout (killed), handed_back (a deploy), manual.",
    *(TASK_TYPE, QUEUE, REASON),
)
_claim_time = _histogram("longrun.claim.duration", CALLS, "Time that one claim took in PostgreSQL.", QUEUE)
_pickup_time = _histogram(
    "longrun.job.pickup.duration", WAITS, "Time from a job being ready to its run being claimed.", TASK_TYPE, QUEUE
)
_run_time = _histogram(
    "longrun.job.run.duration",
    RUNS,
    "Time that the task's own code ran, by the status the run led to; runs that were killed are not in it.",
    *(TASK_TYPE, QUEUE, STATUS),
)
_wakeups = _counter("longrun.wakeups.sent", "{wake-up}", "Wake-ups that Redis took.", QUEUE)
_workers_lost = _counter("longrun.workers.lost", "{worker}", "Workers declared dead after a silent lease.")
_threads_failed = _counter(
    "longrun.threads.failed",
    "{failure}",
    "Threads that raised an error and were restarted (`error`), or stalled (`stall`).",
    *(THREAD, REASON),
)
_workers_unresponsive = _counter(
    "longrun.workers.unresponsive", "{worker}", "Workers that took no wake-up although some waited."
)

# Seen by the keeper

KEEPER_LEADS: Final = Gauge(
    "longrun.keeper.leader",
    "{keeper}",
    "1 where the leading keeper is; 0 in every other process with a keeper, and while the database is away.",
)
JOBS_OPEN: Final = Gauge(
    "longrun.jobs.open",
    "{job}",
    "Jobs that have not ended: ready, waiting for their time, or running; counted up to 20,000 a queue.",
    *(TASK_TYPE, QUEUE, STATE),
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
    "Child processes of those workers: busy ones have a job, idle ones could take one (none of a draining worker).",
    *(QUEUE, STATE),
)
HEARTBEAT_AGE: Final = Gauge(
    "longrun.worker.heartbeat.age", "s", "Age of the oldest heartbeat of the workers of a queue.", QUEUE
)
READ_BY_KEEPER: Final = (JOBS_OPEN, OLDEST_READY, WORKERS, CHILDREN, HEARTBEAT_AGE)


def accepted(jobs: Iterable[NewJob]) -> None:
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
