"""Bytes as text that fits into URLs, headers and cookies: base64url without padding (RFC 4648, section 5)."""

from __future__ import annotations

import base64


def encode(data: bytes) -> str:
    """The text of these bytes."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The bytes of this text; raises ValueError if it is no such text."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
