"""JSON as PostgreSQL can store it: what crosses into a statement goes as one JSON parameter, a list of rows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

MAX_DEPTH: Final = 100
MAX_NUMBER: Final = 10**1000


def dumps(value: Any) -> str:
    """JSON text of plain values, dataclasses, times and UUIDs; ValueError for NaN and infinities."""
    return json.dumps(value, default=_plain, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def rows(values: Iterable[Any]) -> str:
    """The JSON parameter that `jsonb_to_recordset` turns into rows."""
    return dumps(list(values))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def problems(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """What in this JSON value PostgreSQL's jsonb cannot hold: pairs of (JSON path, what is wrong)."""
    yield from _problems(value, path, MAX_DEPTH)


def _problems(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth == 0:
        yield path, f"nested deeper than {MAX_DEPTH} levels"
    elif isinstance(value, str):
        yield from _text_problems(value, path)
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, "NaN and infinities are not JSON numbers"
    elif isinstance(value, int) and abs(value) > MAX_NUMBER:
        yield path, "the number is too large"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _text_problems(key, f"{path}.{key!a}")
            yield from _problems(item, f"{path}.{key}", depth - 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _problems(item, f"{path}[{index}]", depth - 1)


def _text_problems(text: str, path: str) -> Iterator[tuple[str, str]]:
    if "\0" in text:
        yield path, "contains a NUL character (U+0000), which cannot be stored"
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        yield path, "contains a lone surrogate, which is not a character"
