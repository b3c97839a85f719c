"""Keyset cursors: `next` of a page identifies its last row, in a text that clients pass back unchanged."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from jobcore.errors import FieldError, InvalidInput

T = TypeVar("T")


def encode(last: UUID) -> str:
    """The cursor after the page that ends with this row."""
    return to_text(last.bytes)


def decode(cursor: str) -> UUID:
    """The last row of the previous page; raises InvalidInput."""
    return from_text(cursor, lambda data: UUID(bytes=data))


def to_text(data: bytes) -> str:
    """The cursor that says this."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_text(cursor: str, read: Callable[[bytes], T]) -> T:
    """What `read` makes of the bytes of a cursor; raises InvalidInput if it raises ValueError or OverflowError."""
    try:
        if "=" in cursor:
            raise ValueError("cursors have no padding")
        return read(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, OverflowError, binascii.Error):
        raise refused("is not a cursor of this API: pass `next` of a page unchanged") from None


def refused(message: str) -> InvalidInput:
    """The error for a cursor that cannot be used."""
    return InvalidInput(FieldError("cursor", message))
