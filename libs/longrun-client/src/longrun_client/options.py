"""Options of tasks and schedules, as keyword arguments."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import IO, Any, Required, TypedDict

from longrun_client.models_files import UploadedFile

Source = str | os.PathLike[str] | IO[bytes]
"""The path of a file, or a file that is open for reading bytes, from where it is."""


class RetryOptions(TypedDict, total=False):
    """How long to wait before the next attempt. The task type's own values apply to absent options."""

    backoff_s: float
    """Seconds before the second attempt; doubled with each further one."""
    backoff_max_s: float
    """Maximum number of seconds between two attempts."""
    jitter: float
    """Share, 0 to 1, by which a delay varies at random, up or down."""


class TaskOptions(TypedDict, total=False):
    """Options of a task. The task type's own values apply to options that are absent or None."""

    queue: str | None
    """The queue of the task."""
    priority: int | None
    """0 to 9; 9 is the most urgent. Each step counts as 60 s of waiting."""
    run_at: datetime | None
    """Earliest start, with a time zone."""
    delay_s: float | None
    """Earliest start, in seconds from now. Cannot be combined with `run_at`."""
    expires_at: datetime | None
    """Latest start, with a time zone: a task that has not started by then ends as FAILED."""
    timeout_s: float | None
    """Maximum duration of one attempt, in seconds."""
    max_attempts: int | None
    """Maximum number of tries."""
    concurrency_key: str | None
    """Tasks with the same key run one at a time, or as many as its limit allows."""
    rate_key: str | None
    """Tasks with the same key start only as often as its rate limit allows."""
    fairness_key: str | None
    """The tasks of a queue take turns between fairness keys; typically the id of a user or tenant."""
    retry: RetryOptions | None
    """How long to wait before the next attempt."""
    tags: list[str] | None
    """Labels that are returned with the task."""
    metadata: dict[str, Any] | None
    """Any JSON object; it is returned with the task."""
    dedupe_key: str | None
    """At most one task with this key is live: while there is one, it is returned, with `deduplicated`."""
    owner: str | None
    """Whose task it is; by default the caller's. Only an operator may name another one."""


class WebhookOptions(TypedDict, total=False):
    """Where to send a task's events."""

    url: Required[str]
    """http:// or https://, on the public internet."""
    events: Sequence[str]
    """`task.running`, `task.success`, `task.failed`, `task.cancelled`; by default the last three."""
    format: str
    """`standard` (default) or `cloudevents`."""


class WebhookFilterOptions(TypedDict, total=False):
    """Of which tasks events are sent: of those that match every option."""

    task_type: Sequence[str]
    """Any of these."""
    queue: Sequence[str]
    """Any of these."""
    tag: Sequence[str]
    """All of these."""


class WebhookSettings(TypedDict, total=False):
    """Options of a webhook for many tasks, whether it is made or changed."""

    events: Sequence[str]
    """`task.running`, `task.success`, `task.failed`, `task.cancelled`, `webhook.disabled`; by default the ends."""
    filter: WebhookFilterOptions
    """Of which tasks; by default of all."""
    format: str
    """`standard` (default) or `cloudevents`."""
    enabled: bool
    """Whether events are sent."""


class NewWebhookOptions(WebhookSettings, total=False):
    """Options of a webhook that is made."""

    signature: str
    """`v1` (default), HMAC-SHA256 with a secret, or `v1a`, Ed25519."""
    owner: str | None
    """Of whose tasks; by default the caller's. Only an operator may name another one; its own is of everyone's."""
    idempotency_key: str | None
    """A key of this one request; by default, a new one."""


class WebhookChanges(WebhookSettings, total=False):
    """What to change of a webhook."""

    url: str
    """http:// or https://, on the public internet."""


class ValidateOptions(TaskOptions, total=False):
    """Options of a task, and where its events are sent."""

    webhook: WebhookOptions | None
    """Where to send the task's events, signed with `webhook_secrets()`."""


class SessionOptions(ValidateOptions, total=False):
    """Options of a task that is submitted in a transaction of the application."""

    files: Mapping[str, UploadedFile] | None
    """Input files by the names that the task gives them: what `upload` of a client has returned before."""


class SubmitOptions(ValidateOptions, total=False):
    """Options of a task that is submitted over HTTP."""

    idempotency_key: str | None
    """A key of this one submission, by which it is accepted once however often it is sent; by default, a new one."""
    files: Mapping[str, Source | UploadedFile] | None
    """Input files by the names that the task gives them: paths, files that are open for reading bytes, or what `upload`
    has returned. They are uploaded before the task is submitted."""


class FilterOptions(TypedDict, total=False):
    """Which tasks: those that match every option."""

    status: str | Sequence[str] | None
    """Any of these."""
    task_type: str | Sequence[str] | None
    """Any of these."""
    schedule_id: str | None
    """The schedule that submitted it."""
    queue: str | Sequence[str] | None
    """Any of these."""
    tag: str | Sequence[str] | None
    """All of these."""
    created_after: datetime | None
    """Created at this time or later; all times have a time zone."""
    created_before: datetime | None
    """Created before this time."""
    finished_after: datetime | None
    """Ended at this time or later."""
    finished_before: datetime | None
    """Ended before this time."""
    metadata: Mapping[str, Any] | None
    """What its metadata contains."""
    input: Mapping[str, Any] | None
    """What its input contains."""
    error_contains: str | None
    """A part of the type and message of its error, written as `type: message`, in upper or lower case."""
    owner: str | None
    """Whose tasks; a caller with an owner sees no others in any case."""


class ListOptions(FilterOptions, total=False):
    """Which tasks to list, and in which order."""

    id_prefix: str | None
    """How their ids begin."""
    sort: str | None
    """`-created` (default), `created`, `-finished` or `finished`; `-` is for the latest first."""
    fields: Sequence[str] | None
    """Fetch only these fields and those that every task has; the others have their defaults."""


class ExportOptions(FilterOptions, total=False):
    """Which tasks to export, and in which order."""

    sort: str | None
    """`created` (default), or `-created` for the latest first."""
    after: str | None
    """Only tasks behind the one with this id."""
    fields: Sequence[str] | None
    """Export only these fields and those that every task has; the others have their defaults."""


class BulkOptions(FilterOptions, total=False):
    """Which tasks to change. Without ids, there must be a condition, or `all`."""

    all: bool
    """Every task."""
    dry_run: bool
    """Only count what would be changed."""
    idempotency_key: str | None
    """A key of this one request; by default, a new one."""


class WatchOptions(TypedDict, total=False):
    """Which events to watch. An event is passed on if it matches every option."""

    event: str | Sequence[str] | None
    """`state` or `progress`; both by default."""
    status: str | Sequence[str] | None
    """Any of these, after the event; progress is of a RUNNING task."""
    task_id: str | Sequence[str] | None
    """Any of these tasks, at most 200."""
    task_type: str | Sequence[str] | None
    """Any of these."""
    queue: str | Sequence[str] | None
    """Any of these."""
    tag: str | Sequence[str] | None
    """All of these."""
    schedule_id: str | None
    """The schedule that submitted the task."""
    owner: str | None
    """Whose tasks; a caller with an owner sees no others in any case."""


class ScheduleOptions(TypedDict, total=False):
    """Options of a schedule. Absent options have their defaults."""

    timezone: str
    """IANA time zone of the cron expression; UTC by default."""
    overlap: str
    """What a tick does while an earlier tick's task has not ended: `skip` (default), `allow_all` or `cancel_other`."""
    missed_runs: str
    """What to do about ticks that passed while Longrun was down: `skip`, `run_once` (default) or `run_all`."""
    max_missed_runs: int
    """Maximum number of missed ticks that `run_all` makes up."""
    start_deadline_s: float
    """A tick that is late by more than this number of seconds is missed."""
    paused: bool
    """Whether the schedule is paused."""
    owner: str | None
    """Whose schedule it is; by default the caller's. Only an operator may name another one."""
    idempotency_key: str | None
    """A key of this one request; by default, a new one."""
