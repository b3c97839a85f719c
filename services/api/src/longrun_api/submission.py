"""The body of `POST /tasks`, its checks, and its conversion to a job to store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from uuid_utils.compat import uuid7

from jobcore.errors import FieldError, InvalidInput
from jobcore.models import JsonText, NewJob, owned_keys
from jobcore.models.caller import Caller
from jobcore.sealing.keys import NO_KEYS, SecretKeys
from jobcore.store import json_text
from jobcore.tasks import Registry, TaskType
from longrun_api import task_inputs
from longrun_api.callers import owner_to_submit_for
from longrun_api.field_types import QUEUE_NAME, WHOLE, Integer, Key, Owner, Tag, Time
from longrun_api.problems import MalformedJson, field_errors
from longrun_api.submitted_files import MAX_FILES, FileId, file_problems, with_files
from longrun_api.task_inputs import MAX_ERRORS
from longrun_api.webhook_targets import Webhook, url_problems

DAY_S: Final = 86_400
MAX_AHEAD: Final = timedelta(days=366)
MAX_METADATA_BYTES: Final = 16 * 1024
KEYS: Final = ("concurrency_key", "rate_key", "fairness_key", "dedupe_key")
PARSED: Final = frozenset({"task_type", "input", "queue", "priority", "timeout_s", "max_attempts"})
"""The fields of a submission that are right once they are parsed, if the input can be stored."""


class Retry(BaseModel):
    """How long to wait before the next attempt. The task type's own values apply to absent fields."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    backoff_s: float | None = Field(
        None,
        ge=0,
        le=7 * DAY_S,
        allow_inf_nan=False,
        description="Seconds before the second attempt; doubled with each further one.",
    )
    backoff_max_s: float | None = Field(
        None, ge=0, le=7 * DAY_S, allow_inf_nan=False, description="Maximum number of seconds between two attempts."
    )
    jitter: float | None = Field(
        None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Share by which a delay varies at random, up or down: 0.1 is 10 %.",
    )


class TaskTemplate(BaseModel):
    """A task type, its input and how to run it: the part that `POST /tasks` and schedules share."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    task_type: str = Field(max_length=200, description="A name from `GET /task-types`.")
    input: dict[str, Any] = Field(
        description="The input; it must match the task type's `input_schema` in `GET /task-types`."
    )
    queue: str | None = Field(
        None, pattern=QUEUE_NAME, description="The queue of the task; by default, the task type's own."
    )
    priority: Integer = Field(
        0, ge=0, le=9, description="0 to 9; 9 is the most urgent. Each step counts as 60 s of waiting."
    )
    timeout_s: float | None = Field(
        None,
        gt=0,
        le=7 * DAY_S,
        allow_inf_nan=False,
        description="Maximum duration of one attempt, in seconds; by default, the task type's own.",
    )
    max_attempts: Annotated[int, Field(ge=1, le=100), WHOLE] | None = Field(
        None, description="Maximum number of tries; by default, the task type's own."
    )
    concurrency_key: Key | None = Field(
        None,
        description="Tasks with the same key run one at a time, or as many as `PUT /concurrency-limits/{key}` allows.",
    )
    rate_key: Key | None = Field(
        None, description="Tasks with the same key start only as often as `PUT /rate-limits/{key}` allows."
    )
    fairness_key: Key | None = Field(
        None,
        description="The tasks of a queue take turns between fairness keys, so that many tasks of one key do not delay "
        "those of others. Typically the id of a user or tenant. The tasks of an owner share one turn, so a task with "
        "an owner has no such key.",
    )
    retry: Retry | None = Field(None, description="How long to wait before the next attempt.")
    # factories, because pydantic makes a deep copy of a default that is a list or an object
    tags: list[Tag] = Field(
        default_factory=list,
        max_length=20,
        description="Labels that are returned with the task.",
        json_schema_extra={"default": []},
    )
    metadata: dict[str, Any] = Field(
        default_factory=dict,
        description="Any JSON object of at most 16 KiB; it is returned with the task.",
        json_schema_extra={"default": {}},
    )


class Submission(TaskTemplate):
    """A task to submit."""

    owner: Owner | None = Field(
        None,
        description="Whose task it is; by default the caller's. Only a caller without an owner that has the scope "
        "`admin` may name another one.",
    )

    run_at: Time = Field(None, description="Earliest start, as an RFC 3339 time within 366 days.")
    delay_s: float | None = Field(
        None,
        ge=0,
        le=366 * DAY_S,
        allow_inf_nan=False,
        description="Earliest start, in seconds from now. Cannot be combined with `run_at`.",
    )
    expires_at: Time = Field(
        None,
        description="Latest start: a task that has not started by this time ends as FAILED with `error.kind` "
        "`expired`.",
    )
    dedupe_key: Key | None = Field(
        None,
        description="At most one task with this key is PENDING or RUNNING: while there is one, it is returned, with "
        "`deduplicated`, and no other is submitted.",
    )
    files: dict[str, FileId] | None = Field(
        None,
        max_length=MAX_FILES,
        description="Input files of the task: the `file_id` of each, from `POST /files`, by the name that the task "
        "gives it. Only one submission can use a file.",
    )

    webhook: Webhook | None = Field(None, description="Where to send the task's events, signed: see Webhooks.")


ModelT = TypeVar("ModelT", bound=BaseModel)


def parse(body: bytes) -> Submission:
    """Parse a request body as a submission; raises MalformedJson or InvalidInput."""
    return parse_as(Submission, body)


def parse_as(model: type[ModelT], body: bytes | str) -> ModelT:
    """Parse a request body as `model`; raises MalformedJson or InvalidInput."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        if details[0]["type"] == "json_invalid":
            raise MalformedJson(details[0]["msg"].removeprefix("Invalid JSON: ")) from None
        raise InvalidInput(*field_errors(details[:MAX_ERRORS], known=model.model_fields)) from None


def to_job(
    submission: Submission,
    registry: Registry,
    traceparent: str | None,
    caller: Caller,
    secret_keys: SecretKeys = NO_KEYS,
) -> NewJob:
    """The job to store, its input sealed if it has secrets; raises InvalidInput or UnknownTaskType."""
    owner = owner_to_submit_for(caller, submission.owner)
    task_type = registry.get_submittable(submission.task_type)
    text = json_text.storable(submission.input)
    if text is None or not submission.model_fields_set <= PARSED:
        found = chain(_unstorable(submission, text), _problems(submission, task_type, owner))
        if errors := list(islice(found, MAX_ERRORS)):
            raise InvalidInput(*errors)
    given = JsonText(text or json_text.dumps(submission.input))
    stored = task_inputs.checked(task_type, submission.input, given, owner, secret_keys)
    job = NewJob(
        id=uuid7(),
        task_type=task_type.name,
        queue=submission.queue or task_type.queue,
        input=stored.shown,
        max_attempts=submission.max_attempts or task_type.retry.max_attempts,
        priority=submission.priority,
        run_at=submission.run_at,
        delay_s=submission.delay_s,
        expires_at=submission.expires_at,
        timeout_s=submission.timeout_s or task_type.timeout_s,
        tags=tuple(submission.tags),
        metadata=submission.metadata,
        traceparent=traceparent,
        concurrency_key=owned_keys.stored(owner, submission.concurrency_key),
        rate_key=owned_keys.stored(owner, submission.rate_key),
        fairness_key=submission.fairness_key if owner is None else owned_keys.turn(owner),
        dedupe_key=owned_keys.stored(owner, submission.dedupe_key),
        retry=_own_backoff(submission) or None,
        owner=owner,
        webhook=None if submission.webhook is None else submission.webhook.stored(),
        sealed=stored.sealed,
    )
    return job if submission.files is None else with_files(job, submission.files)


def _own_backoff(submission: Submission) -> dict[str, float]:
    return submission.retry.model_dump(exclude_none=True) if submission.retry else {}


def _unstorable(submission: Submission, text: str | None) -> Iterator[FieldError]:
    """Values that PostgreSQL cannot store. `text` is the input as JSON if it is known to be storable, else None."""
    unsure = {name: value for name in ("tags", "owner", *KEYS) if (value := getattr(submission, name))}
    if text is None:
        unsure["input"] = submission.input
    if submission.metadata and json_text.storable(submission.metadata) is None:
        unsure["metadata"] = submission.metadata
    for name, value in unsure.items():
        for path, message in json_text.problems(value, name):
            yield FieldError(path[:200], message)


def _problems(submission: Submission, task_type: TaskType, owner: str | None) -> Iterator[FieldError]:
    if owner is not None and submission.fairness_key is not None:
        yield FieldError(
            "fairness_key", "cannot be given for a task with an owner: the tasks of an owner share its turn"
        )
    if submission.run_at is not None or submission.expires_at is not None:
        yield from _problems_of_times(submission, datetime.now(UTC))
    if own := _own_backoff(submission):
        policy = task_type.retry.of_job(own)
        if policy.backoff_s > policy.backoff_max_s:
            given = "retry.backoff_s" if "backoff_s" in own else "retry.backoff_max_s"
            yield FieldError(
                given,
                f"backoff_s ({policy.backoff_s:g} s) must not exceed backoff_max_s ({policy.backoff_max_s:g} s); "
                "the task type's own value applies to an absent field, so give both",
            )
    if submission.files:
        yield from file_problems(submission.files)
    if submission.webhook:
        yield from url_problems(submission.webhook.url, "webhook.url")
    if submission.metadata and _size(submission.metadata) > MAX_METADATA_BYTES:
        yield FieldError("metadata", f"must be at most {MAX_METADATA_BYTES:,} bytes as JSON")


def _problems_of_times(submission: Submission, now: datetime) -> Iterator[FieldError]:
    if submission.run_at is not None:
        if submission.delay_s is not None:
            yield FieldError("delay_s", "cannot be given together with run_at: choose one")
        if abs(submission.run_at - now) > MAX_AHEAD:
            yield FieldError("run_at", "must lie within 366 days of now")
    if submission.expires_at is not None:
        starts_at = submission.run_at or now + timedelta(seconds=submission.delay_s or 0)
        if submission.expires_at <= max(now, starts_at):
            yield FieldError("expires_at", "must lie after now and after the earliest start of the task")
        elif submission.expires_at - now > 2 * MAX_AHEAD:
            yield FieldError("expires_at", "must lie within 732 days of now")


def _size(value: Mapping[str, Any]) -> int:
    try:
        return len(json_text.dumps(value).encode("utf-8", "surrogatepass"))
    except ValueError:
        return 0  # NaN, which _unstorable reports
