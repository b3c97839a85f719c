"""Python client and command line of Longrun."""

from longrun_client.async_client import AsyncLongrun
from longrun_client.client import Longrun
from longrun_client.errors import (
    FieldError,
    InvalidAddress,
    LongrunError,
    LongrunUnavailable,
    MaybeAccepted,
    ProblemError,
    UnexpectedAnswer,
)
from longrun_client.models import (
    CancelReceipt,
    Event,
    Job,
    JobError,
    Links,
    LogLine,
    LogPage,
    Page,
    Progress,
    RunningJob,
    Status,
    TaskType,
    Worker,
)

__all__ = [
    "AsyncLongrun",
    "CancelReceipt",
    "Event",
    "FieldError",
    "InvalidAddress",
    "Job",
    "JobError",
    "Links",
    "LogLine",
    "LogPage",
    "Longrun",
    "LongrunError",
    "LongrunUnavailable",
    "MaybeAccepted",
    "Page",
    "ProblemError",
    "Progress",
    "RunningJob",
    "Status",
    "TaskType",
    "UnexpectedAnswer",
    "Worker",
]
