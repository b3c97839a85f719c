"""What `ctx.step` takes: names, and results that can be stored and read back as they are."""

from __future__ import annotations

import json
from typing import Any, Final

from jobcore.errors import InvalidStep
from jobcore.store import documents

NAME_MAX: Final = 200
RESULT_MAX_BYTES: Final = 1_048_576


def check_name(name: str) -> None:
    """InvalidStep if a step cannot be called that."""
    if not isinstance(name, str) or not 0 < len(name) <= NAME_MAX:
        raise InvalidStep(f"a step's name must be a text of 1 to {NAME_MAX} characters, not {str(name)[:300]!r}")
    for _, problem in documents.problems(name, "name"):
        raise InvalidStep(f"step {name!r}: the name {problem}")


def to_json(name: str, result: Any) -> str:
    """The result of the step as JSON text; InvalidStep says why it has none."""
    try:
        text = json.dumps(result, allow_nan=False, ensure_ascii=False)
        problems = documents.problems(json.loads(text), "its result")
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidStep(
            f"step {name!r}: its result is not JSON ({error}): return only None, booleans, numbers, texts, lists and "
            "dicts, for a Pydantic model model_dump(mode='json')"
        ) from None
    for path, problem in problems:
        raise InvalidStep(f"step {name!r}: {path} {problem}")
    if (size := len(text.encode())) > RESULT_MAX_BYTES:
        raise InvalidStep(
            f"step {name!r}: its result has {size:,} bytes as JSON and may have {RESULT_MAX_BYTES:,}: "
            "store it elsewhere and return where it is"
        )
    return text
