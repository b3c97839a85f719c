"""Checks of what `ctx.step` gets: the step's name, and its result, which must be JSON."""

from __future__ import annotations

from typing import Any, Final

from jobcore.errors import InvalidStep, InvalidValue
from jobcore.store import json_text
from jobcore.worker.values import to_json

NAME_MAX: Final = 200


def check_name(name: str) -> None:
    """Raise InvalidStep for a name that a step cannot have."""
    if problem := name_problem(name):
        raise InvalidStep(f"step {str(name)[:300]!r}: the name {problem}")


def name_problem(name: object) -> str | None:
    """What is wrong with the name of a step or of a piece of output; None if nothing is."""
    if not isinstance(name, str) or not 0 < len(name) <= NAME_MAX:
        return f"must be a string of 1 to {NAME_MAX} characters"
    return next((problem for _, problem in json_text.problems(name, "name")), None)


def result_json(name: str, result: Any, max_bytes: int) -> str:
    """The result of the step as JSON text. Raises InvalidStep, which says why it cannot be stored."""
    try:
        return to_json("its result", result, max_bytes)
    except InvalidValue as error:
        raise InvalidStep(f"step {name!r}: {error}") from None
