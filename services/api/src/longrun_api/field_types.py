"""Types of fields that several requests share."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AwareDatetime, BeforeValidator, Field

from jobcore.models.owned_keys import OWNER, OWNER_MAX

QUEUE_NAME: Final = r"^[a-z0-9][a-z0-9_.-]{0,62}$"
SEPARATOR: Final = r"\x1f"
"""The character that keys must not have, in a pattern: it ends the owner in stored keys."""
RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _rfc3339(value: object) -> object:
    if value is None or (isinstance(value, str) and RFC_3339.fullmatch(value)):
        return value
    raise ValueError("must be an RFC 3339 time with its offset, such as 2026-11-24T12:00:00Z")


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE: Final = BeforeValidator(_whole)
Integer = Annotated[int, WHOLE]
"""A whole number. 5.0 is accepted too: to JSON Schema it is an integer (2020-12, validation, section 6.1.1)."""
Time = Annotated[AwareDatetime | None, Field(strict=False), BeforeValidator(_rfc3339)]
Tag = Annotated[str, Field(min_length=1, max_length=64)]
Key = Annotated[str, Field(min_length=1, max_length=200, pattern=rf"^[^{SEPARATOR}]*$")]
Owner = Annotated[str, Field(min_length=1, max_length=OWNER_MAX, pattern=OWNER)]
