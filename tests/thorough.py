"""Which cases only `make thorough` runs, because `make test` runs another one of their kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def cases(values: Iterable[Any], always: int = 1) -> list[Any]:
    """The cases of a parametrised test: `make test` runs the first `always` of them, and `make thorough` all."""
    first, others = (every := list(values))[:always], every[always:]
    return [*first, *(pytest.param(*_arguments(value), marks=pytest.mark.thorough) for value in others)]


def _arguments(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)
