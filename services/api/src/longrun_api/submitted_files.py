"""The input files that a submission names: ids of uploaded files, by the names that the task gives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Final
from uuid import UUID

from pydantic import Field

from jobcore.errors import FieldError, InvalidInput, InvalidValue
from jobcore.files.names import checked_name
from jobcore.models import NewJob, NewJobWithFiles

MAX_FILES: Final = 100
"""Input files of a task."""
FileId = Annotated[UUID, Field(strict=False)]


def with_files(job: NewJob, files: Mapping[str, UUID]) -> NewJob:
    """The job with these input files besides those that it has. Raises InvalidInput for a name that is there twice."""
    known = job.files if isinstance(job, NewJobWithFiles) else {}
    if twice := known.keys() & files.keys():
        raise InvalidInput(*(FieldError(f"files.{name}"[:200], "is given twice") for name in sorted(twice)))
    if not files:
        return job
    return NewJobWithFiles.of(job, {**known, **files})


def file_problems(files: Mapping[str, UUID]) -> Iterator[FieldError]:
    """What is wrong with the names and the ids."""
    for name in files:
        try:
            checked_name(name)
        except InvalidValue as error:
            yield FieldError(f"files.{name}"[:200], str(error).removeprefix("file: "))
    if len(frozenset(files.values())) < len(files):
        yield FieldError("files", "has one file twice: upload it once for each name")
