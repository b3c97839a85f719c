"""JSON text as PostgreSQL can store it. A statement gets its rows as one JSON parameter, a list of objects.

Values of clients and tasks are `jsonb`, which keeps numbers as decimals: 1e16 is read as an integer, 1e308 as 309
digits, and -0.0 as 0.0. A value with such a number is also stored as text, in a column of the same name with the suffix
`_exact`. That column is NULL for all other values; where it is not, readers get it (ADR 0019).
"""

from __future__ import annotations

import json
import math
import re
from _json import encode_basestring, make_encoder
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any, Final
from uuid import UUID

from jobcore.models import JsonText

MAX_DEPTH: Final = 100
MAX_NUMBER: Final = 10**1000
SHORT: Final = 2 * MAX_DEPTH
"""JSON text of less bytes is nested less deep than MAX_DEPTH levels, and has no number that is too long."""
_Pairs = Iterable[tuple[str, Any]]
VALUES: Final = frozenset({"input", "metadata", "result", "progress", "checkpoint", "data", "task", "job"})
"""The fields of rows that have values of clients or tasks."""
EXACT: Final = "_exact"

STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
"""A string in JSON text, whole or cut off at its end."""

_DIGITS: Final = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER: Final = b"0" * 1001
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_EXPONENT: Final = re.compile(r"e(?:\+\d|-(?:1[7-9]|[2-9]\d|[1-3]\d\d))")
_BARE_EXPONENT: Final = re.compile(r"\de\d")
_NEGATIVE_ZERO: Final = re.compile(r"-0\.0(?=[,\]}]|$)")
_NUMBER_BEGINS: Final = re.compile(r"(?:^|[:,\[])(?:-?\d+(?:\.\d+)?)?$")
_LONGEST_NUMBER: Final = 30


class NotJson(ValueError):
    """The value has no JSON text: NaN, an infinity, a number of more than 4,300 digits, a list that contains itself."""


def dumps(value: Any) -> str:
    """JSON text of plain values, dataclasses, times and UUIDs. Raises NotJson for other values."""
    return _encoded(_ENCODE, value)


def storable(value: Any) -> str | None:
    """`dumps` of a value that jsonb can store. None if that is not certain; then `problems` says what is wrong.

    This checks the text as a whole, in C, in a tenth of the time that `problems` needs to check each value.
    """
    try:
        text = dumps(value)
        return text if _holds(text.encode()) else None
    except (ValueError, RecursionError):  # no JSON, or a lone surrogate
        return None


def is_storable(text: str) -> bool:
    """Whether this is JSON text that jsonb holds for sure; False if it may not, as for `storable`.

    `text` is JSON but for NaN and infinities, which serializers write by these names.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return False
    return b"NaN" not in data and b"Infinity" not in data and _holds(data)


def as_written_here(text: str) -> JsonText:
    """The JSON text of another serializer, with its numbers as `dumps` writes them (1e+16, not 1e16).

    By this form `exact` knows the numbers that jsonb would alter.
    """
    return JsonText(dumps(json.loads(text)) if _BARE_EXPONENT.search(text) else text)


def _holds(data: bytes) -> bool:
    if len(data) < SHORT:
        return b"\\u0000" not in data
    return not (b"\\u0000" in data or _LONG_NUMBER in data.translate(_DIGITS) or _is_deep(data))


def _is_deep(data: bytes) -> bool:
    """Whether lists and objects of this JSON text are nested MAX_DEPTH deep."""
    if data.count(b"[") + data.count(b"{") < MAX_DEPTH:
        return False
    brackets = STRING.sub(b"", data).translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(MAX_DEPTH - 1):
        if not brackets:
            break
        brackets = brackets.replace(b"[]", b"")  # the innermost
    return bool(brackets)


def rows(values: Iterable[Any]) -> str:
    """The JSON parameter for `jsonb_to_recordset`: a list of rows, each value with its `_exact` if it needs one."""
    given = list(values)
    text = _array(_row(value, _pairs, _ENCODE) for value in given)
    if not _is_altered(text):
        return text
    return _array(_row(value, _pairs_and_exact, _ENCODE_EXACT) for value in given)


def _array(texts: Iterable[str]) -> str:
    return f"[{','.join(texts)}]"


def _row(value: Any, pairs: Callable[[Any], _Pairs], encode: Callable[[Any], str]) -> str:
    """The JSON object of one row. What is None is left out: it is NULL then too, and costs nothing to parse."""
    if not _is_record(value):
        return _encoded(encode, value)
    fields, spliced = {}, ""
    for name, field in pairs(value):
        if field is None:
            continue
        if type(field) is JsonText and name in VALUES:
            spliced += f',"{name}":{field}'
        else:
            fields[name] = field
    return f"{_encoded(encode, fields)[:-1]}{spliced}}}"


def exact(text: str) -> str | None:
    """The given text, written by `dumps`, if jsonb would alter a number in it; otherwise None."""
    return text if _is_altered(text) else None


def stored(column: str, *, changes: bool = False) -> str:
    """SQL for the JSON text of a column as it was given.

    If the column `changes`, version 0.1 may have written it later without its `_exact`; then the jsonb is right.
    """
    same = f"WHEN CAST({column}{EXACT} AS jsonb) = {column} THEN {column}{EXACT}"
    there = f"CASE WHEN {column}{EXACT} IS NULL THEN CAST({column} AS text) {same} ELSE CAST({column} AS text) END"
    return there if changes else f"coalesce({column}{EXACT}, CAST({column} AS text))"


def loads(text: str | None) -> Any:
    """The value of stored JSON text; `{"unreadable": …}` if Python cannot parse it."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # a number of more than 4,300 digits, or 1,000 levels
        return {"unreadable": f"{type(error).__name__}: {error}"[:200]}


def _encoded(encode: Callable[[Any], str], value: Any) -> str:
    try:
        return encode(value)
    except ValueError as error:
        raise NotJson(str(error)) from None


def _is_altered(text: str) -> bool:
    """Whether jsonb would alter a number of this compact JSON text, or make it twenty times as long.

    Text inside a string that looks like such a number counts too, which only costs a copy.
    """
    marks = _EXPONENT.finditer(text)
    if "-0.0" in text:
        marks = chain(marks, _NEGATIVE_ZERO.finditer(text))
    ends = (found.start() for found in marks)
    return any(_NUMBER_BEGINS.search(text, max(0, end - _LONGEST_NUMBER), end) for end in ends)


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    if _is_record(value):
        return dict(_pairs(value))
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _pairs(record: Any) -> _Pairs:
    """The names of the fields of a record, with their values."""
    names = _names_of(type(record))
    values = record if isinstance(record, tuple) else [getattr(record, name) for name in names]
    return zip(names, values, strict=True)


def field_names(kind: type[Any]) -> tuple[str, ...]:
    """The names of the fields of a dataclass or a named tuple; none for any other type."""
    if is_dataclass(kind):
        return tuple(field.name for field in fields(kind))
    return tuple(getattr(kind, "_fields", ()))


_names_of: Final[Callable[[Any], tuple[str, ...]]] = cache(field_names)


def _is_record(value: Any) -> bool:
    return bool(_names_of(type(value)))


def _plain_and_exact(value: Any) -> Any:
    return dict(_pairs_and_exact(value)) if _is_record(value) else _plain(value)


def _pairs_and_exact(record: Any) -> _Pairs:
    fields = dict(_pairs(record))
    texts = {name: exact(_text(fields[name])) for name in VALUES.intersection(fields)}
    return [*fields.items(), *((name + EXACT, text) for name, text in texts.items() if text is not None)]


def _text(value: Any) -> str:
    return value if type(value) is JsonText else dumps(value)


def _encoder(plain: Callable[[Any], Any]) -> Callable[[Any], str]:
    """`JSONEncoder.encode` that keeps the encoder in C between calls: to make it takes as long as a small object."""
    careful = json.JSONEncoder(default=plain, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode
    quick = make_encoder(None, plain, encode_basestring, None, ":", ",", False, False, False)

    def encode(value: Any) -> str:
        try:
            return "".join(quick(value, 0))
        except RecursionError:
            return careful(value)  # which tells a list that contains itself from one that is nested too deep

    return encode


_ENCODE: Final = _encoder(_plain)
_ENCODE_EXACT: Final = _encoder(_plain_and_exact)


def problems(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """What of this JSON value jsonb cannot store: pairs of (JSON path, what is wrong)."""
    yield from _problems(value, path, MAX_DEPTH)


def _problems(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth == 0:
        yield path, f"nested deeper than {MAX_DEPTH} levels"
    elif isinstance(value, str):
        yield from _text_problems(value, path)
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, "must be a finite number: NaN, Infinity and numbers beyond ±1.8e308 cannot be stored"
    elif isinstance(value, int) and abs(value) > MAX_NUMBER:
        yield path, "the number is too large: whole numbers may have 1,000 digits"
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
