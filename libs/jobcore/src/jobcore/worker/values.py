"""Checks of the values that a task passes to `ctx` or returns: JSON, numbers, sizes."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, Final, Self

from jobcore.errors import InvalidValue
from jobcore.sealing.keys import NO_KEYS, SecretKeys
from jobcore.settings import WorkerSettings
from jobcore.store import json_text

MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class Bounds:
    """What limits a run, from the settings. Sizes are bytes as JSON, `refused_backoff_s` seconds.

    `file_bytes` is bytes of one file, `files` how many a job may have, and `files_at` where they are kept.
    `secret_keys` open inputs with secrets.
    """

    result_bytes: int = MIB
    log_lines: int = 100_000
    refused_backoff_s: float = 30.0
    output_bytes: int = 64 * MIB
    file_bytes: int = 64 * 2**30
    files: int = 100
    files_at: str | None = None
    secret_keys: SecretKeys = NO_KEYS

    @classmethod
    def of(cls, settings: WorkerSettings) -> Self:
        """The bounds that these settings give."""
        return cls(
            settings.max_result_bytes,
            settings.max_log_lines,
            settings.refused_backoff_s,
            settings.max_output_bytes,
            settings.max_file_bytes,
            settings.max_files,
            settings.files,
            SecretKeys(settings.secret_keys),
        )


DEFAULT_BOUNDS: Final = Bounds()
TOO_LARGE: Final = "(LONGRUN_MAX_RESULT_BYTES): store it elsewhere, and use its address instead"
RESULT_TOO_LARGE: Final = "(LONGRUN_MAX_RESULT_BYTES): store it as a file with ctx.file instead, and return its name"


def to_json(name: str, value: Any, max_bytes: int, too_large: str = TOO_LARGE) -> str:
    """The value as JSON text. Raises InvalidValue if it is not JSON or larger than `max_bytes`.

    `too_large` ends the message about the size: it says where the bound comes from and what to do.
    """
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError, MemoryError) as error:
        raise _no_json(name, error) from None
    check_json(name, text, max_bytes, too_large)
    return text


def check_json(name: str, text: str, max_bytes: int, too_large: str = TOO_LARGE) -> None:
    """Raises InvalidValue if this JSON text cannot be stored or is larger than `max_bytes`."""
    check_size(name, text, max_bytes, too_large)
    if json_text.is_storable(text):
        return
    try:
        problems = list(json_text.problems(_DECODER.decode(text), name))
    except (ValueError, RecursionError, MemoryError) as error:
        raise _no_json(name, error) from None
    for path, problem in problems:
        raise InvalidValue(f"{path} {problem}")


def infinite(shown: Any, given: Any, path: str) -> Iterator[str]:
    """The paths at which `shown`, the JSON of `given`, has null in place of a number that is not finite."""
    if shown is None:
        if isinstance(given, float) and not math.isfinite(given):
            yield path
    elif isinstance(shown, dict) and isinstance(given, Mapping):
        for (name, left), right in zip(shown.items(), given.values(), strict=False):
            yield from infinite(left, right, f"{path}.{name}")
    elif isinstance(shown, list) and isinstance(given, Collection):
        for index, (left, right) in enumerate(zip(shown, given, strict=False)):
            yield from infinite(left, right, f"{path}[{index}]")


def check_size(name: str, text: str, max_bytes: int, too_large: str = TOO_LARGE) -> None:
    """Raise InvalidValue if this JSON text is larger than `max_bytes`."""
    size = size_of(text)
    if size > max_bytes:
        raise InvalidValue(f"{name} has {size:,} bytes as JSON, but may have {max_bytes:,} {too_large}")


def size_of(text: str) -> int:
    """The size of a text in UTF-8, in bytes."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def number(name: str, value: Any) -> int | float:
    """A real number of any library (Decimal, Fraction, NumPy) as an int or a float.

    Raises InvalidValue for anything else; the message names the argument.
    """
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        raise InvalidValue(f"{name} must be a number, not {_shown(value)}")
    if isinstance(value, Integral):
        whole = int(value)
        if abs(whole) > json_text.MAX_NUMBER:
            raise InvalidValue(f"{name} is too large: a whole number may have 1,000 digits")
        return whole
    try:
        real = float(value)
    except (OverflowError, ValueError):
        real = math.inf
    if not math.isfinite(real):
        raise InvalidValue(f"{name} must be a finite number, not {_shown(value)}")
    return real


def _no_json(name: str, error: BaseException) -> InvalidValue:
    return InvalidValue(
        f"{name} is not JSON ({error}): use only None, booleans, finite numbers, strings, lists and dicts, and "
        "model_dump(mode='json') of Pydantic models"
    )


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a finite number")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse)


def _shown(value: Any) -> str:
    try:
        return f"{type(value).__name__} {value!r}"[:100]
    except Exception:
        return type(value).__name__
