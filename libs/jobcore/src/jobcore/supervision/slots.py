"""Shared memory between a worker's processes: what each child does, and what the supervisor wants of it.

    header   main pid                            written once
             drain time                          written by the main process
             time of the supervisor's last round written by the supervisor
             lease: deadline and worker id       written by the supervisor
    slot 0   pid, when that process started      written by the child in slot 0
             state: claims and run               written by the child in slot 0
             stop request                        written by the supervisor
    slot 1   …

The memory is an anonymous map, made before the first fork. Every field has one writer. A field of several words is a
`SharedRecord`, which readers never see half-written, whatever happens to its writer. The other fields are single words,
each written by one aligned store (`struct.pack_into` writes zeros first). The lease's deadline is a time of
`jobcore.host.clock`, the other times are `time.monotonic()`; all processes of a host share both.
"""

from __future__ import annotations

import mmap
import signal
import struct
import time
import zlib
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Final, NamedTuple
from uuid import UUID

from jobcore.supervision.child_state import (
    IDLE,
    STATE_SIZE,
    ChildState,
    RunKey,
    pack_claims,
    pack_run,
    unknown,
    unpack,
)
from jobcore.supervision.shared_record import WORD, SharedRecord

STOP_SIGNAL: Final = signal.SIGUSR2
"""Tells a child to read the stop request in its slot."""

# every struct that is followed by another is a multiple of 8 bytes, so that words are aligned
_LEASE: Final = struct.Struct("=d16s")  # deadline, worker id
_STOP: Final = struct.Struct("=16sqq")  # run id, run fence, reason
_PID_AT: Final = 0
_STARTED_AT: Final = WORD
_STATE_AT: Final = 2 * WORD
_STOP_AT: Final = _STATE_AT + SharedRecord.size(STATE_SIZE)
_SLOT_SIZE: Final = _STOP_AT + SharedRecord.size(_STOP.size)
_MAIN: Final = 0  # in words
_DRAIN: Final = 1
_SUPERVISED: Final = 2
_LEASE_AT: Final = 3 * WORD
_HEADER_SIZE: Final = _LEASE_AT + SharedRecord.size(_LEASE.size)
_NO_ID: Final = bytes(16)


class StopReason(IntEnum):
    """Why the supervisor wants a run to stop."""

    NONE = 0
    CANCEL = 1
    TIMEOUT = 2
    DRAIN = 3


class Slot:
    """One child's part of the shared memory."""

    def __init__(self, memory: mmap.mmap, words: memoryview, offset: int, index: int) -> None:
        self._words = words
        self._pid = (offset + _PID_AT) // WORD
        self._started = (offset + _STARTED_AT) // WORD
        self._state = SharedRecord(memory, words, offset + _STATE_AT, STATE_SIZE)
        self._stop = SharedRecord(memory, words, offset + _STOP_AT, _STOP.size)
        self._stop_read: tuple[int, bytes | None] = (0, None)
        self.index = index
        self._claims: tuple[RunKey, ...] = ()
        self._packed_claims = b""
        self._claims_crc = 0

    @property
    def pid(self) -> int:
        """The process that has the slot; 0 for none."""
        return self._words[self._pid]

    @property
    def started(self) -> int:
        """When that process started (`jobcore.host.processes.started`): tells it from a later one with the same pid."""
        return self._words[self._started]

    def take(self, pid: int, started: int) -> None:
        """Child only: take this slot for a process that does nothing yet."""
        self._words[self._started] = started
        self.write(ChildState(pid, False, (), None, 0.0, None))

    def write(self, state: ChildState) -> None:
        """Child only: say what this child does now; ValueError for more than `MAX_CLAIMS` claims."""
        if state.claims is not self._claims:
            self._pack(state.claims)
        if state.pid:
            self._words[self._pid] = state.pid
        run = pack_run(state)
        # a child writes twice a job and has a batch of claims, so their bytes and checksum are kept between writes
        self._state.write(self._packed_claims + run, zlib.crc32(run, self._claims_crc))
        if not state.pid:
            self._words[self._pid] = 0

    def _pack(self, claims: tuple[RunKey, ...]) -> None:
        self._packed_claims = pack_claims(claims)
        self._claims = claims
        self._claims_crc = zlib.crc32(self._packed_claims)

    def read(self) -> ChildState:
        """What the child in this slot said last; a write that was cut short by a freeze or a death does not count."""
        raw = self._state.read()
        return unknown(self.pid) if raw is None else unpack(self.pid, raw)

    def clear(self) -> None:
        """Supervisor only, once the child is dead and accounted for: free the slot for the next child."""
        self.withdraw_stop()
        self.write(IDLE)

    @property
    def version(self) -> int:
        """Rises with every change the child writes."""
        return self._state.version

    def request_stop(self, key: RunKey, reason: StopReason) -> None:
        """Supervisor only: ask the child to stop this run."""
        self._stop.write(_STOP.pack(key.id.bytes, key.fence, reason))

    def withdraw_stop(self) -> None:
        """Supervisor only: take the stop request back."""
        self._stop.write(_STOP.pack(_NO_ID, 0, StopReason.NONE))

    def stop_reason(self, key: RunKey) -> StopReason:
        """Child: why the supervisor wants this run to stop; NONE if it does not."""
        version = self._stop.version
        if version != self._stop_read[0]:
            self._stop_read = version, self._stop.read()  # read anew only if it changed: a child asks after each job
        raw = self._stop_read[1]
        if raw is None:
            return StopReason.NONE
        job_id, fence, reason = _STOP.unpack(raw)
        return StopReason(reason) if fence == key.fence and job_id == key.id.bytes else StopReason.NONE


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
        self._memory = mmap.mmap(-1, _HEADER_SIZE + count * _SLOT_SIZE)
        self._words = memoryview(self._memory).cast("q")
        self._times = memoryview(self._memory).cast("d")
        self._lease = SharedRecord(self._memory, self._words, _LEASE_AT, _LEASE.size)
        self._lease_read = 0, Lease(None, 0.0)
        self._words[_MAIN] = main_pid
        self.expire()
        starts = range(_HEADER_SIZE, len(self._memory), _SLOT_SIZE)
        self._slots = [Slot(self._memory, self._words, start, index) for index, start in enumerate(starts)]
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
