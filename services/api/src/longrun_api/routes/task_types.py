"""`GET /task-types`: the task types that clients can submit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from jobcore.models.caller import Scope
from jobcore.tasks import TaskType
from longrun_api.auth.scopes import needs
from longrun_api.openapi import problem_responses
from longrun_api.runtime import runtime_of
from longrun_api.schemas import Backoff

router = APIRouter(prefix="/task-types", tags=["task types"])


class TaskTypeInfo(BaseModel):
    """A task type: its queue, the JSON Schemas of its input and output, its retries, and an example input."""

    name: str
    description: str
    queue: str
    input_schema: dict[str, Any] = Field(description="JSON Schema of the input.")
    output_schema: dict[str, Any] = Field(description="JSON Schema of the result.")
    max_attempts: int = Field(description="Default maximum number of tries.")
    retry: Backoff
    timeout_s: float | None = Field(description="Default maximum duration of one attempt, in seconds; null: no limit.")
    example: Mapping[str, Any] | None = Field(description="An example of an input.")

    @classmethod
    def of(cls, task_type: TaskType) -> Self:
        """The task type as clients see it."""
        return cls(
            name=task_type.name,
            description=task_type.description,
            queue=task_type.queue,
            input_schema=task_type.input_model.model_json_schema(),
            output_schema=task_type.output_model.model_json_schema(mode="serialization"),
            max_attempts=task_type.retry.max_attempts,
            retry=Backoff(
                backoff_s=task_type.retry.backoff_s,
                backoff_max_s=task_type.retry.backoff_max_s,
                jitter=task_type.retry.jitter,
            ),
            timeout_s=task_type.timeout_s,
            example=task_type.example,
        )


class TaskTypeList(BaseModel):
    """All task types, by name."""

    items: list[TaskTypeInfo]


@router.get("", responses=problem_responses(422))
@needs(Scope.READ)
async def list_task_types(request: Request) -> TaskTypeList:
    """List the task types that can be submitted, with the JSON Schemas of their input and output."""
    return TaskTypeList(items=[TaskTypeInfo.of(task_type) for task_type in runtime_of(request).registry.submittable()])
