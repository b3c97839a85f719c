"""What `ctx.step` takes: names, and results that can be stored and read back as they are."""

from __future__ import annotations

from typing import Any, Final

from jobcore.errors import InvalidStep, InvalidValue
from jobcore.store import json_text
from jobcore.worker.values import to_json

NAME_MAX: Final = 200


def check_name(name: str) -> None:
    """InvalidStep if a step cannot be called that."""
    if not isinstance(name, str) or not 0 < len(name) <= NAME_MAX:
        raise InvalidStep(f"a step's name must be a text of 1 to {NAME_MAX} characters, not {str(name)[:300]!r}")
    for _, problem in json_text.problems(name, "name"):
        raise InvalidStep(f"step {name!r}: the name {problem}")


def result_json(name: str, result: Any, max_bytes: int) -> str:
    """The result of the step as JSON text; InvalidStep says why it has none."""
    try:
        return to_json("its result", result, max_bytes)
    except InvalidValue as error:
        raise InvalidStep(f"step {name!r}: {error}") from None
