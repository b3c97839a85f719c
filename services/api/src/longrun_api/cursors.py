"""Keyset cursors: `next` of a page names the last row of it, in a text that clients give back as it is."""

from __future__ import annotations

import base64
import binascii
from uuid import UUID

from jobcore.errors import FieldError, InvalidInput


def encode(last: UUID) -> str:
    """The cursor after the page that ends with this row."""
    return base64.urlsafe_b64encode(last.bytes).rstrip(b"=").decode()


def decode(cursor: str) -> UUID:
    """The row that ended the page before; InvalidInput names `cursor`."""
    try:
        return UUID(bytes=base64.b64decode(cursor + "==", altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        raise InvalidInput(
            FieldError("cursor", "is not one that this API gave: use `next` of a page as it is")
        ) from None
