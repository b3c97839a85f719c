"""What clients may take from a process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """What all clients together may take from one process."""

    request_s: float
    """Seconds from the first byte of a request to its last; a new connection gets the same time for its first head."""
    buffered_bytes: int
    """Bytes of all unanswered requests together."""
    connections: int
    """Open connections."""
    head_bytes: int = 32 * 1024
    headers: int = 100


class BufferedBytes:
    """How many bytes of unanswered requests a process holds in memory."""

    def __init__(self) -> None:
        self.bytes = 0
