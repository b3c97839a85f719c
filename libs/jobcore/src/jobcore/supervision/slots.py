"""Shared memory between a worker's processes: what each child does, and what the supervisor wants of it.

    header   main pid                            written once
             drain time                          written by the main process
             time of the supervisor's last round written by the supervisor
             lease: deadline and worker id       written by the supervisor
    slot 0   pid, when that process started      written by the child in slot 0
             event loop: beat and current run    written by the child in slot 0
             retire                              written by the supervisor
             run whose interrupt was handled     written by the child in slot 0
             state: claims and runs              written by the child in slot 0
             stops                               written by the supervisor
    slot 1   …

The memory is an anonymous map, made before the first fork. Every field has one writer. A field of several words is a
`SharedRecord`, which readers never see half-written, whatever happens to its writer. The other fields are single words,
each written by one aligned store (`struct.pack_into` writes zeros first). The lease's deadline is a time of
`jobcore.host.clock`, the other times are `time.monotonic()`; all processes of a host share both.
"""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from jobcore.supervision.shared_record import WORD, SharedRecord
from jobcore.supervision.slot import SLOT_SIZE, Slot

_LEASE: Final = struct.Struct("=d16s")  # deadline, worker id; a multiple of 8 bytes, so that words are aligned
# in words, from the start of the memory
_MAIN: Final = 0
_DRAIN: Final = 1
_SUPERVISED: Final = 2
_LEASE_AT: Final = 3 * WORD
_HEADER_SIZE: Final = _LEASE_AT + SharedRecord.size(_LEASE.size)
_NO_ID: Final = bytes(16)


class Lease(NamedTuple):
    """The id under which a worker claims, and until when (`jobcore.host.clock`); nobody runs a job past it."""

    worker_id: UUID | None
    deadline: float

    def holds(self, worker_id: UUID | None, now: float) -> bool:
        """True if what was claimed under this id may run now."""
        return worker_id is not None and worker_id == self.worker_id and now < self.deadline


class Slots(Sequence[Slot]):
    """The shared memory of one worker: create it before the first fork."""

    def __init__(self, count: int, main_pid: int) -> None:
        self._memory = mmap.mmap(-1, _HEADER_SIZE + count * SLOT_SIZE)
        self._words = memoryview(self._memory).cast("q")
        self._times = memoryview(self._memory).cast("d")
        self._lease = SharedRecord(self._memory, self._words, _LEASE_AT, _LEASE.size)
        self._lease_read = 0, Lease(None, 0.0)
        self._words[_MAIN] = main_pid
        self.expire()
        starts = range(_HEADER_SIZE, len(self._memory), SLOT_SIZE)
        self._slots = [Slot(self._memory, self._words, self._times, start, index) for index, start in enumerate(starts)]
        for slot in self._slots:
            slot.clear()

    def __getitem__(self, index: int) -> Slot:  # type: ignore[override]
        return self._slots[index]

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def main_pid(self) -> int:
        """The pid of the Celery main process."""
        return self._words[_MAIN]

    @property
    def lease(self) -> Lease:
        """Worker id and deadline of the same renewal; a lease that cannot be read has ended."""
        version = self._lease.version
        if version != self._lease_read[0]:
            self._lease_read = version, self._read_lease()  # read anew only if it changed: a child asks before each job
        return self._lease_read[1]

    def _read_lease(self) -> Lease:
        deadline, raw = _LEASE.unpack(self._lease.read() or _LEASE.pack(0.0, _NO_ID))
        return Lease(None if raw == _NO_ID else UUID(bytes=raw), deadline)

    @property
    def deadline(self) -> float:
        """When the lease ends: nobody runs a job past it."""
        return self.lease.deadline

    @property
    def worker_id(self) -> UUID | None:
        """The id under which this worker claims; None while it has no lease."""
        return self.lease.worker_id

    def renew(self, worker_id: UUID, deadline: float) -> None:
        """Supervisor only: the lease holds until `deadline`."""
        self._lease.write(_LEASE.pack(deadline, worker_id.bytes))

    def expire(self) -> None:
        """Supervisor only: end the lease."""
        self._lease.write(_LEASE.pack(0.0, _NO_ID))

    @property
    def draining_since(self) -> float | None:
        """When the drain began; None before, minus infinity if running jobs are to be handed back at once."""
        return self._times[_DRAIN] or None

    def drain(self, now: Callable[[], float] = time.monotonic) -> None:
        """Main only: begin the drain, after which no job is claimed. A single store, so safe in a signal handler."""
        if self.draining_since is None:
            self._times[_DRAIN] = now()

    def hand_back(self) -> None:
        """Main only: begin a drain that gives running jobs no time to finish. Safe in a signal handler."""
        self._times[_DRAIN] = float("-inf")

    @property
    def supervised_at(self) -> float:
        """When the supervisor last began a round, on the monotonic clock, in seconds."""
        return self._times[_SUPERVISED]

    def supervised(self) -> None:
        """Supervisor only: it begins a round."""
        self._times[_SUPERVISED] = time.monotonic()
