"""The body of `POST /tasks:batch`: each task is checked like that of `POST /tasks`, and its errors name its index."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Annotated, Any, Final, cast
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from jobcore.errors import FieldError, InvalidInput
from jobcore.models import NewJob, NewJobWithFiles
from jobcore.models.caller import Caller
from jobcore.sealing.keys import SecretKeys
from jobcore.store.input_files import unusable
from jobcore.tasks import Registry
from longrun_api.problems import field_errors
from longrun_api.submission import Submission, parse_as, to_job
from longrun_api.task_inputs import MAX_ERRORS

MAX_TASKS: Final = 1000
MAX_LISTED: Final = 200
"""The most errors that the answer to a refused atomic batch lists."""


def _or_error(value: Any, validate: ValidatorFunctionWrapHandler) -> Submission | ValidationError:
    """The submission, or what is wrong with it, so that an invalid task does not hide the errors of the others."""
    try:
        return cast(Submission, validate(value))
    except ValidationError as error:
        return error


class TaskBatch(BaseModel):
    """Tasks to submit in one request."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    items: list[Annotated[Submission, WrapValidator(_or_error)]] = Field(
        min_length=1, max_length=MAX_TASKS, description=f"1 to {MAX_TASKS:,} tasks."
    )
    atomic: bool = Field(
        True,
        description="Accept all tasks or, if one is refused, none. With `false`, each task is accepted or refused by "
        "itself.",
    )


class _ValidBatch(TaskBatch):
    """A batch without an invalid task. It is parsed in two thirds of the time, because no task is parsed by Python."""

    items: list[Submission] = Field(min_length=1, max_length=MAX_TASKS, fail_fast=True)


class BatchRefused(InvalidInput):
    """Some tasks of an atomic batch are not valid; `errors` names their fields, MAX_LISTED at most."""

    def __init__(self, refused: int, total: int, errors: Sequence[FieldError]) -> None:
        super().__init__(*errors)
        self.args = (f"{refused:,} of {total:,} tasks are not valid, so none was accepted",)


@dataclass(frozen=True, slots=True)
class CheckedBatch:
    """The tasks of a batch, in order: each as the job to store, or as the errors for which it is refused."""

    tasks: tuple[NewJob | InvalidInput, ...]
    atomic: bool

    @property
    def files(self) -> list[UUID]:
        """The input files that its tasks name."""
        jobs = (task for task in self.tasks if isinstance(task, NewJobWithFiles))
        return [file_id for job in jobs for file_id in job.files.values()]

    @property
    def refusal(self) -> BatchRefused | None:
        """Why nothing of this batch is accepted; None if something may be."""
        return self.errors if self.atomic else None

    @property
    def errors(self) -> BatchRefused | None:
        """The errors of all tasks; None if there are none."""
        refused = [task for task in self.tasks if isinstance(task, InvalidInput)]
        if not refused:
            return None
        listed = islice(chain.from_iterable(task.errors for task in refused), MAX_LISTED)
        return BatchRefused(len(refused), len(self.tasks), list(listed))


def with_free_files(checked: CheckedBatch, free: Container[UUID]) -> CheckedBatch:
    """The batch, with tasks refused whose input files are not free, or are another task's of the batch."""
    taken: set[UUID] = set()

    def task(index: int, task: NewJob | InvalidInput) -> NewJob | InvalidInput:
        if not isinstance(task, NewJobWithFiles):
            return task
        errors = [unusable(use) for use in task.uses if use.file_id not in free or use.file_id in taken]
        if errors:
            return InvalidInput(*_at(index, errors))
        taken.update(task.files.values())
        return task

    return replace(checked, tasks=tuple(task(index, each) for index, each in enumerate(checked.tasks)))


def _at(index: int, errors: Iterable[FieldError]) -> list[FieldError]:
    return [FieldError(f"items[{index}].{each.field}", each.message) for each in errors]


def check(
    body: bytes, registry: Registry, traceparent: str | None, caller: Caller, secret_keys: SecretKeys
) -> CheckedBatch:
    """Parse and check a body; raises MalformedJson, or InvalidInput if it is no batch."""
    batch = _parsed(body)
    items = cast(list[Submission | ValidationError], batch.items)
    return CheckedBatch(
        tuple(_checked(index, item, registry, traceparent, caller, secret_keys) for index, item in enumerate(items)),
        batch.atomic,
    )


def _parsed(body: bytes) -> TaskBatch:
    try:
        return parse_as(_ValidBatch, body)
    except InvalidInput:
        return parse_as(TaskBatch, body)


def _checked(
    index: int,
    item: Submission | ValidationError,
    registry: Registry,
    traceparent: str | None,
    caller: Caller,
    secret_keys: SecretKeys,
) -> NewJob | InvalidInput:
    prefix = f"items[{index}]"
    if isinstance(item, ValidationError):
        details = item.errors(include_url=False, include_input=False)
        return InvalidInput(*field_errors(details[:MAX_ERRORS], prefix, Submission.model_fields))
    try:
        return to_job(item, registry, traceparent, caller, secret_keys)
    except InvalidInput as error:
        return type(error)(*_at(index, error.errors))
