"""Immutable values that the store, the API and the workers pass to each other."""

from jobcore.models.bulk import BULK_QUEUE, BULK_TYPES, BulkAction, Tally
from jobcore.models.events import Batch, Event, NewEvent
from jobcore.models.feed import FeedEvent, FeedFilter, FeedPosition
from jobcore.models.files import InputFileUse, JobFile, NewFile, StagedFile, StoredFile
from jobcore.models.idempotency import IdempotencyKey, KnownJob
from jobcore.models.job_filter import JobFilter, JobOrder, JobPosition
from jobcore.models.jobs import Accepted, AcceptedAlike, CancelReceipt, Job, NewJob, NewJobWithFiles
from jobcore.models.json_value import JsonText
from jobcore.models.runs import Change, Claim, Outcome, Run
from jobcore.models.why import Cause, Estimate, Method, Why
from jobcore.models.workers import RunningJob, Worker, by_lane

__all__ = [
    "BULK_QUEUE",
    "BULK_TYPES",
    "Accepted",
    "AcceptedAlike",
    "Batch",
    "BulkAction",
    "CancelReceipt",
    "Cause",
    "Change",
    "Claim",
    "Estimate",
    "Event",
    "FeedEvent",
    "FeedFilter",
    "FeedPosition",
    "IdempotencyKey",
    "InputFileUse",
    "Job",
    "JobFile",
    "JobFilter",
    "JobOrder",
    "JobPosition",
    "JsonText",
    "KnownJob",
    "Method",
    "NewEvent",
    "NewFile",
    "NewJob",
    "NewJobWithFiles",
    "Outcome",
    "Run",
    "RunningJob",
    "StagedFile",
    "StoredFile",
    "Tally",
    "Why",
    "Worker",
    "by_lane",
]
