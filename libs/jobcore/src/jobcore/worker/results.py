"""What a task returned, checked against the output model of its task type, as JSON."""

from __future__ import annotations

import inspect
import json
from typing import Any

from pydantic import BaseModel, ValidationError

from jobcore.models import JsonText
from jobcore.store import json_text
from jobcore.tasks import TaskType
from jobcore.worker.error_details import message_of
from jobcore.worker.values import RESULT_TOO_LARGE, check_json, infinite


class InvalidOutput(Exception):
    """What a task returned does not fit its output model, or cannot be stored as JSON."""


def result_of(task_type: TaskType, returned: Any, max_bytes: int) -> JsonText:
    """The result as JSON text, under the names of the type's `output_schema`. Raises InvalidOutput."""
    if inspect.iscoroutine(returned):
        returned.close()
        raise InvalidOutput(f"{task_type.name} returned a coroutine that nobody awaits: define the task with async def")
    try:
        text = _serialized(task_type.output_model, returned)
        check_json("result", text, max_bytes, RESULT_TOO_LARGE)
        return json_text.as_written_here(text)
    except ValidationError as error:
        raise InvalidOutput(
            f"{task_type.name} returned something that does not fit its output model "
            f"{task_type.output_model.__name__}: {error}"
        ) from None
    except Exception as error:  # a serializer of the model may raise anything, and memory may run out
        raise InvalidOutput(message_of(error)) from None


def _serialized(output_model: type[BaseModel], returned: Any) -> str:
    if not isinstance(returned, output_model):
        plain = returned.model_dump() if isinstance(returned, BaseModel) else returned
        returned = output_model.model_validate(plain, by_alias=True, by_name=True)
    # the serializer of the output model, because a subclass may have fields that its output_schema does not name
    serializer = output_model.__pydantic_serializer__
    text = serializer.to_json(returned, by_alias=True).decode()
    if "null" in text and "ser_json_inf_nan" not in output_model.model_config:
        for path in infinite(json.loads(text), serializer.to_python(returned, by_alias=True), "result"):
            raise InvalidOutput(
                f"{path} must be a finite number, because JSON has no NaN and no infinity: return None or a string, "
                "or set ser_json_inf_nan='strings' in the output model's model_config"
            )
    return text
