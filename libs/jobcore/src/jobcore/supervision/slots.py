"""Shared memory between a worker's processes: what each child does, and what the supervisor wants of it.

    header   main pid                            written once
             drain time                          written by the main process
             time of its last round              written by the supervisor
             lease: deadline and worker id       written by the supervisor
    slot 0   pid, when that process started      written by the child in slot 0
             state: claiming?, claims, run       written by the child in slot 0
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

from jobcore.supervision.shared_record import WORD, SharedRecord

MAX_CLAIMS: Final = 256
STOP_SIGNAL: Final = signal.SIGUSR2
"""Tells a child to look at its slot: a run is to stop."""

# every struct that is followed by another is a multiple of 8 bytes, so that words are aligned
_LEASE: Final = struct.Struct("=d16s")  # deadline, worker id
_CHILD: Final = struct.Struct("=?7x16sqdd")  # claiming, run id, run fence, run since, run deadline
_KEY: Final = struct.Struct("=16sq")
_STOP: Final = struct.Struct("=16sqq")
_STATE_SIZE: Final = _CHILD.size + MAX_CLAIMS * _KEY.size
_PID_AT: Final = 0
_STARTED_AT: Final = WORD
_STATE_AT: Final = 2 * WORD
_STOP_AT: Final = _STATE_AT + SharedRecord.size(_STATE_SIZE)
_SLOT_SIZE: Final = _STOP_AT + SharedRecord.size(_STOP.size)
_MAIN: Final = 0  # in words
_DRAIN: Final = 1
_SUPERVISED: Final = 2
_LEASE_AT: Final = 3 * WORD
_HEADER_SIZE: Final = _LEASE_AT + SharedRecord.size(_LEASE.size)
_NO_ID: Final = bytes(16)


class RunKey(NamedTuple):
    """One run of one job."""

    id: UUID
    fence: int


class StopReason(IntEnum):
    """Why the supervisor wants a run to stop."""

    NONE = 0
    CANCEL = 1
    TIMEOUT = 2
    DRAIN = 3


class ChildState(NamedTuple):
    """What a child says it does. `claims` are those it answers for, `run` the one whose code runs now.

    If `known` is false its slot is damaged and nobody can say: it may hold, run or be getting any job.
    """

    pid: int
    claiming: bool
    claims: tuple[RunKey, ...]
    run: RunKey | None
    run_since: float
    run_deadline: float | None
    known: bool = True

    @property
    def busy(self) -> bool:
        """True if the child answers for a job or may be getting one."""
        return self.claiming or bool(self.claims)


IDLE: Final = ChildState(0, False, (), None, 0.0, None)


def unknown(pid: int) -> ChildState:
    """The state of a child whose slot cannot be read: any job may be its own."""
    return ChildState(pid, True, (), None, 0.0, None, known=False)


class Slot:
    """One child's part of the shared memory."""

    def __init__(self, memory: mmap.mmap, words: memoryview, offset: int, index: int) -> None:
        self._words = words
        self._pid = (offset + _PID_AT) // WORD
        self._started = (offset + _STARTED_AT) // WORD
        self._state = SharedRecord(memory, words, offset + _STATE_AT, _STATE_SIZE)
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
        """Child only: this slot is this process's, which does nothing yet."""
        self._words[self._started] = started
        self.write(ChildState(pid, False, (), None, 0.0, None))

    def write(self, state: ChildState) -> None:
        """Child only: say what this child does now."""
        if len(state.claims) > MAX_CLAIMS:
            raise ValueError(f"a child holds at most {MAX_CLAIMS} jobs")
        if state.pid:
            self._words[self._pid] = state.pid
        if state.claims is not self._claims:
            self._pack(state.claims)
        run = state.run
        child = _CHILD.pack(
            state.claiming,
            run.id.bytes if run else _NO_ID,
            run.fence if run else 0,
            state.run_since,
            -1.0 if state.run_deadline is None else state.run_deadline,
        )
        # a child writes twice a job and holds a batch of them: what it holds is packed and summed once
        self._state.write(self._packed_claims + child, zlib.crc32(child, self._claims_crc))
        if not state.pid:
            self._words[self._pid] = 0

    def _pack(self, claims: tuple[RunKey, ...]) -> None:
        self._claims = claims
        self._packed_claims = b"".join(_KEY.pack(key.id.bytes, key.fence) for key in claims)
        self._claims_crc = zlib.crc32(self._packed_claims)

    def read(self) -> ChildState:
        """What the child in this slot said last; one that is frozen or died while it wrote said what came before."""
        raw = self._state.read()
        if raw is None:
            return unknown(self.pid)
        keys_size = len(raw) - _CHILD.size
        claiming, run_id, run_fence, since, deadline = _CHILD.unpack_from(raw, keys_size)
        claims = tuple(RunKey(UUID(bytes=job_id), fence) for job_id, fence in _KEY.iter_unpack(raw[:keys_size]))
        run = RunKey(UUID(bytes=run_id), run_fence) if run_fence else None
        return ChildState(self.pid, claiming, claims, run, since, None if deadline < 0 else deadline)

    def clear(self) -> None:
        """Supervisor only, once the child is dead and accounted for: the next child may take the slot."""
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
        """Supervisor only: ask for nothing any more."""
        self._stop.write(_STOP.pack(_NO_ID, 0, StopReason.NONE))

    def stop_reason(self, key: RunKey) -> StopReason:
        """Child: what the supervisor wants of this run."""
        version = self._stop.version
        if version != self._stop_read[0]:
            self._stop_read = version, self._stop.read()  # a child asks after each job
        raw = self._stop_read[1]
        if raw is None:
            return StopReason.NONE
        job_id, fence, reason = _STOP.unpack(raw)
        return StopReason(reason) if fence == key.fence and job_id == key.id.bytes else StopReason.NONE


class Lease(NamedTuple):
    """Under which id a worker claims, and until when (`jobcore.host.clock`); nobody runs a job past it."""

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
        """Worker id and deadline as they belong together; a lease that cannot be read is over."""
        version = self._lease.version
        if version != self._lease_read[0]:
            self._lease_read = version, self._read_lease()  # a child asks before each job
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
        """Under which id this worker claims; None while it has no lease."""
        return self.lease.worker_id

    def renew(self, worker_id: UUID, deadline: float) -> None:
        """Supervisor only: the lease holds until `deadline`."""
        self._lease.write(_LEASE.pack(deadline, worker_id.bytes))

    def expire(self) -> None:
        """Supervisor only: there is no lease now."""
        self._lease.write(_LEASE.pack(0.0, _NO_ID))

    @property
    def draining_since(self) -> float | None:
        """When SIGTERM came; None before, minus infinity if running jobs are to be handed back at once."""
        return self._times[_DRAIN] or None

    def drain(self, now: Callable[[], float] = time.monotonic) -> None:
        """Main only: take no more jobs from now on. A single store: safe inside a signal handler."""
        if self.draining_since is None:
            self._times[_DRAIN] = now()

    def hand_back(self) -> None:
        """Main only: take no more jobs, and give running ones no time to finish. Safe inside a signal handler."""
        self._times[_DRAIN] = float("-inf")

    @property
    def supervised_at(self) -> float:
        """When the supervisor last began a round, on the monotonic clock, in seconds."""
        return self._times[_SUPERVISED]

    def supervised(self) -> None:
        """Supervisor only: it begins a round."""
        self._times[_SUPERVISED] = time.monotonic()
