"""Idempotency keys of requests."""

from __future__ import annotations

from typing import Final
from uuid import uuid4

LONGEST_KEY: Final = 255


def new_key(key: str | None) -> str:
    """The given idempotency key, or a new one. Raises ValueError if it is not 1 to 255 printable ASCII characters."""
    if key is None:
        return str(uuid4())
    if not (1 <= len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        raise ValueError(f"idempotency_key: must be 1 to {LONGEST_KEY} printable ASCII characters, not {key[:300]!r}")
    return key


def quoted(key: str) -> str:
    """The key as a string of structured fields (RFC 9651, section 3.3.3)."""
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
