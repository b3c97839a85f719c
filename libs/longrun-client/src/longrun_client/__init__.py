"""Python client and command line of Longrun."""

from longrun_client.async_client import AsyncLongrun
from longrun_client.client import Longrun
from longrun_client.errors import (
    FieldError,
    IncompleteDownload,
    InvalidAddress,
    InvalidKey,
    InvalidSubmission,
    LongrunError,
    LongrunUnavailable,
    MaybeAccepted,
    NoTransaction,
    ProblemError,
    SubmitNotAvailable,
    UnexpectedAnswer,
)
from longrun_client.models import (
    Attempt,
    AttemptError,
    AttemptPage,
    AttemptWorker,
    Backoff,
    CancelReceipt,
    Event,
    Links,
    LogLine,
    LogPage,
    Page,
    Progress,
    RunningTask,
    Status,
    Task,
    TaskError,
    TaskType,
    Worker,
)
from longrun_client.models_bulk import BulkOutcome, BulkResult
from longrun_client.models_counts import StatusCount, TaskCounts
from longrun_client.models_files import TaskFile, UploadedFile
from longrun_client.models_keys import ApiKey, ApiKeyPage, NewApiKey
from longrun_client.models_output import OutputPage, Piece
from longrun_client.models_queues import ConcurrencyLimit, ConcurrencyLimitPage, Queue
from longrun_client.models_quotas import Quota, QuotaPage
from longrun_client.models_rates import QueueRate, RateLimit, RateLimitPage
from longrun_client.models_schedules import Schedule, ScheduleError, SchedulePage
from longrun_client.models_stats import Durations, Figures, FiguresAt, Stats
from longrun_client.models_timings import Timings
from longrun_client.models_watch import TaskEvent
from longrun_client.models_webhooks import (
    Delivery,
    DeliveryPage,
    TaskWebhook,
    Webhook,
    WebhookFilter,
    WebhookPage,
    WebhookSecret,
)
from longrun_client.models_why import AcceptanceWarning, EstimatedStart, Why
from longrun_client.transactions import SubmittedTask, submit

__all__ = [
    "AcceptanceWarning",
    "ApiKey",
    "ApiKeyPage",
    "AsyncLongrun",
    "Attempt",
    "AttemptError",
    "AttemptPage",
    "AttemptWorker",
    "Backoff",
    "BulkOutcome",
    "BulkResult",
    "CancelReceipt",
    "ConcurrencyLimit",
    "ConcurrencyLimitPage",
    "Delivery",
    "DeliveryPage",
    "Durations",
    "EstimatedStart",
    "Event",
    "FieldError",
    "Figures",
    "FiguresAt",
    "IncompleteDownload",
    "InvalidAddress",
    "InvalidKey",
    "InvalidSubmission",
    "Links",
    "LogLine",
    "LogPage",
    "Longrun",
    "LongrunError",
    "LongrunUnavailable",
    "MaybeAccepted",
    "NewApiKey",
    "NoTransaction",
    "OutputPage",
    "Page",
    "Piece",
    "ProblemError",
    "Progress",
    "Queue",
    "QueueRate",
    "Quota",
    "QuotaPage",
    "RateLimit",
    "RateLimitPage",
    "RunningTask",
    "Schedule",
    "ScheduleError",
    "SchedulePage",
    "Stats",
    "Status",
    "StatusCount",
    "SubmitNotAvailable",
    "SubmittedTask",
    "Task",
    "TaskCounts",
    "TaskError",
    "TaskEvent",
    "TaskFile",
    "TaskType",
    "TaskWebhook",
    "Timings",
    "UnexpectedAnswer",
    "UploadedFile",
    "Webhook",
    "WebhookFilter",
    "WebhookPage",
    "WebhookSecret",
    "Why",
    "Worker",
    "submit",
]
