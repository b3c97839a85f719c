"""The core of Longrun: PostgreSQL is the queue, a Celery message only wakes a worker up.

Packages of tasks import what they need from here. Everything else is in rooms, each of which imports only from rooms
below it; `lint-imports` checks that.

    testing        runs a task in a test, without a server
    worker         the processes of a Celery worker: main process and children
    supervision    the supervisor process, and the memory that it shares with them
    keeper         periodic work on all jobs: promotion, rescue, wake-ups, schedules, housekeeping
    admission      how jobs get into the queue and past its limits
    webhooks       deliveries of events (beside admission)
    broker         wake-ups and live events over Redis
    migrations     the schema of the database (beside broker)
    store          all SQL
    host           clock, threads and processes of the machine
    files          the bytes of result files: a folder or S3 (beside host)
    telemetry      logs, metrics and traces
    outbound       requests to hosts that clients name, behind the SSRF guard
    (here)         shared values: states, errors, settings, models, tasks, cron, schedule
"""

from jobcore.errors import (
    InvalidStep,
    InvalidValue,
    JobCancelled,
    LongrunError,
    PermanentError,
    ProgramFailed,
    RetryableError,
)
from jobcore.tasks import AsyncContext, CompletedProgram, JobContext, task

__all__ = [
    "AsyncContext",
    "CompletedProgram",
    "InvalidStep",
    "InvalidValue",
    "JobCancelled",
    "JobContext",
    "LongrunError",
    "PermanentError",
    "ProgramFailed",
    "RetryableError",
    "task",
]
