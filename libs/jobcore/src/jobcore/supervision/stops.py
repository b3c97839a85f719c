"""The stops that a supervisor asks of a child, as values and as the bytes in its slot."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final, NamedTuple
from uuid import UUID

from jobcore.supervision.child_state import MAX_RUNS, RunKey

_STOP: Final = struct.Struct("=16sqB?6x")  # id, fence, reason, interrupt
STOPS_SIZE: Final = MAX_RUNS * _STOP.size
"""The most bytes of a child's stops."""


class StopReason(IntEnum):
    """Why the supervisor wants a run to stop."""

    NONE = 0
    CANCEL = 1
    TIMEOUT = 2
    DRAIN = 3


class Stop(NamedTuple):
    """A run that must stop, and why.

    With `interrupt`, the child does not wait for the run to ask: it cancels the run's asyncio task, or raises in the
    run's thread. On the main thread, the supervisor's signal does that.
    """

    key: RunKey
    reason: StopReason
    interrupt: bool


def pack(stops: Iterable[Stop]) -> bytes:
    """The bytes of a child's stops."""
    return b"".join(_STOP.pack(key.id.bytes, key.fence, reason, interrupt) for key, reason, interrupt in stops)


def unpack(packed: bytes) -> Mapping[RunKey, Stop]:
    """A child's stops, by run."""
    keys = ((RunKey(UUID(bytes=job_id), fence), *rest) for job_id, fence, *rest in _STOP.iter_unpack(packed))
    return {key: Stop(key, StopReason(reason), interrupt) for key, reason, interrupt in keys}
