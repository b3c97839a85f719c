"""The answer to a batch of submissions as the API shows it."""

from __future__ import annotations

from pydantic import BaseModel, Field

from longrun_api.openapi import Problem
from longrun_api.schemas import Accepted


class BatchItem(BaseModel):
    """What became of one task of a batch: what `POST /tasks` would have answered to it."""

    status: int = Field(
        description="202: accepted. 200: a live task has its `dedupe_key`, or it is valid and `validate_only` was "
        "given. Otherwise it is refused: the status of `problem`."
    )
    task: Accepted | None = Field(None, description="The task; absent if it is refused.")
    problem: Problem | None = Field(None, description="Why it is refused; absent if it is not.")


class BatchAnswer(BaseModel):
    """What became of the tasks of a batch."""

    items: list[BatchItem] = Field(description="One for each task, in the same order.")
    refused: int = Field(description="How many tasks are refused; 0 if the batch was atomic.")
