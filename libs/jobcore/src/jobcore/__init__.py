"""The heart of Longrun: PostgreSQL is the queue, a Celery message only wakes a worker up.

What a package of tasks needs is imported from here. Everything else lives in rooms, each of which imports only from
those below it; `lint-imports` checks that.

    worker         the processes of a Celery worker: main process and pool children
    supervision    the supervisor process beside them, and the memory that it shares with them
    keeper         what looks at PostgreSQL every second and sets right what nobody else will
    admission      how jobs get into the queue and past its limits
    broker         what travels over Redis
    migrations     the schema of the database (beside broker)
    store          all SQL
    host           clock, threads and processes of the machine
    telemetry      logs, metrics and traces
    (here)         the shared words: states, errors, settings, models, tasks, cron, schedule
"""

from jobcore.errors import InvalidStep, InvalidValue, JobCancelled, LongrunError, PermanentError, RetryableError
from jobcore.tasks import JobContext, task

__all__ = [
    "InvalidStep",
    "InvalidValue",
    "JobCancelled",
    "JobContext",
    "LongrunError",
    "PermanentError",
    "RetryableError",
    "task",
]
