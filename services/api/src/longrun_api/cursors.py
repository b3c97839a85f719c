"""Keyset cursors: `next` of a page identifies its last row, in a text that clients pass back unchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from jobcore.errors import FieldError, InvalidInput
from longrun_api import base64url

T = TypeVar("T")


def encode(last: UUID) -> str:
    """The cursor after the page that ends with this row."""
    return to_text(last.bytes)


def decode(cursor: str) -> UUID:
    """The last row of the previous page; raises InvalidInput."""
    return from_text(cursor, lambda data: UUID(bytes=data))


def to_text(data: bytes) -> str:
    """The cursor that says this."""
    return base64url.encode(data)


def from_text(cursor: str, read: Callable[[bytes], T]) -> T:
    """What `read` makes of the bytes of a cursor; raises InvalidInput if it raises ValueError or OverflowError."""
    try:
        if "=" in cursor:
            raise ValueError("cursors have no padding")
        return read(base64url.decode(cursor))
    except (ValueError, OverflowError):
        raise refused("is not a cursor of this API: pass `next` of a page unchanged") from None


def refused(message: str) -> InvalidInput:
    """The error for a cursor that cannot be used."""
    return InvalidInput(FieldError("cursor", message))
