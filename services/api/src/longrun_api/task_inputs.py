"""Checks the input of a submission against the model of its task type, and seals it if the model takes secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ValidationError

from jobcore.errors import FieldError, InvalidInput
from jobcore.models import JsonText
from jobcore.sealing.fields import MASK, Hidden, has_secrets, hidden, hiding, surely_hidden
from jobcore.sealing.keys import SecretKeys
from jobcore.store import json_text
from jobcore.tasks import TaskType
from jobcore.telemetry import logs
from longrun_api.problems import field_errors

MAX_ERRORS: Final = 20

log = logs.get(__name__)


class StoredInput(NamedTuple):
    """The input of a job as everybody may see it, and the sealed one that its worker opens, if it has secrets."""

    shown: JsonText
    sealed: str | None = None


def checked(
    task_type: TaskType, given: Mapping[str, Any], text: JsonText, owner: str | None, keys: SecretKeys
) -> StoredInput:
    """What to store of an input; `text` is `given` as JSON. Raises InvalidInput, which quotes no secret."""
    if not _may_have_secrets(task_type):
        _check(task_type, text)
        return StoredInput(text)
    if not keys:
        raise InvalidInput(
            FieldError(
                "task_type",
                f"the input of {task_type.name} has secrets, and this server has no key to encrypt them: set "
                "LONGRUN_SECRET_KEYS for the API and the workers; `longrun secrets new-key` makes a key",
            )
        )
    found = hidden(task_type.input_model, given)
    _refuse_masks(found)
    value = _check(task_type, text, hiding(secret for _, secret in found.secrets))
    shown = surely_hidden(found, value)
    return StoredInput(JsonText(json_text.dumps(shown)), keys.seal(text, task_type.name, owner))


def _may_have_secrets(task_type: TaskType) -> bool:
    try:
        return has_secrets(task_type.input_model)
    except Exception:  # the model cannot be built; the check says so
        return False


def _refuse_masks(found: Hidden) -> None:
    masks = [path for path, secret in found.secrets if secret == MASK]
    if masks:
        raise InvalidInput(
            *(
                FieldError(path[:200], "is what is shown in place of a secret: give the secret itself")
                for path in masks[:MAX_ERRORS]
            )
        )


def _check(task_type: TaskType, text: str, hide: Callable[[str], str] | None = None) -> BaseModel:
    """What the task type's model reads; raises InvalidInput unless it accepts this input.

    The model validates JSON text here, as it does in the worker, because a strict model would reject the dates and
    tuples that JSON cannot express. The text itself is stored, not the model's values: aliases, secrets and excluded
    fields would not survive serialisation.
    """
    model = task_type.input_model
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=False)
        errors = field_errors(details[:MAX_ERRORS], "input", _names(model))
        raise InvalidInput(*(_hidden(each, hide) for each in errors)) from None
    except Exception as error:  # from one of the model's own validators
        # its message and its traceback may quote a secret
        log.error(
            "a task type's input model failed",
            task_type=task_type.name,
            error=type(error).__name__,
            exc_info=error if hide is None else None,
        )
        message = f"the input model of {task_type.name} failed: {type(error).__name__}"
        raise InvalidInput(FieldError("input", message)) from None


def _hidden(error: FieldError, hide: Callable[[str], str] | None) -> FieldError:
    return error if hide is None else FieldError(hide(error.field), hide(error.message))


def _names(model: type[BaseModel]) -> tuple[str, ...]:
    """The names of a model's fields as clients write them."""
    aliases = {name: field.validation_alias for name, field in model.model_fields.items()}
    return tuple(alias if isinstance(alias, str) else name for name, alias in aliases.items())
