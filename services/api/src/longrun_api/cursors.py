"""Keyset cursors: `next` of a page identifies its last row, in a text that clients pass back unchanged."""

from __future__ import annotations

import base64
import binascii
from uuid import UUID

from jobcore.errors import FieldError, InvalidInput


def encode(last: UUID) -> str:
    """The cursor after the page that ends with this row."""
    return base64.urlsafe_b64encode(last.bytes).rstrip(b"=").decode()


def decode(cursor: str) -> UUID:
    """The last row of the previous page; raises InvalidInput."""
    try:
        return UUID(bytes=base64.b64decode(cursor + "==", altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        raise InvalidInput(
            FieldError("cursor", "is not a cursor of this API: pass `next` of a page unchanged")
        ) from None
