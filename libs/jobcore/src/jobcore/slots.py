"""Shared memory between a worker's processes: what each child does, and what the supervisor wants of it.

    header   lease deadline, worker id, look    written by the supervisor
             drain time                         written by the main process
    slot 0   pid, claiming?, held jobs, run     written by the child in slot 0
             post                               written by the supervisor
    slot 1   …

The memory is an anonymous map made before the first fork. Every field has one writer. A child's fields, and a post,
are guarded by a version that is odd while they change (a seqlock), so a reader never sees half of a change. Versions
and the lone times are written by one aligned store each: `struct.pack_into` writes zeros first, and a watchdog that
read a zero deadline would kill. Times are `time.monotonic()`, which all processes of a host share.
"""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple
from uuid import UUID

MAX_HELD: Final = 256

# every struct is a multiple of 8 bytes, so that each version and time lies within one cache line
_HEADER: Final = struct.Struct("=d16sdqd")  # deadline, worker id, drain time, main pid, last look
_CHILD: Final = struct.Struct("=q?7xq16sqdd")  # pid, claiming, held count, run id, run fence, run since, run deadline
_KEY: Final = struct.Struct("=16sq")
_POST: Final = struct.Struct("=16sqq")
_WORD: Final = 8
_HELD_AT: Final = _WORD + _CHILD.size
_POST_AT: Final = _HELD_AT + MAX_HELD * _KEY.size
_SLOT_SIZE: Final = _POST_AT + _WORD + _POST.size
_DEADLINE: Final = 0  # in words
_DRAIN: Final = 3
_LOOKED: Final = 5
_WORKER_AT: Final = 8
_NO_ID: Final = bytes(16)
_READ_TRIES: Final = 200
_READ_AGAIN_S: Final = 0.0005


class Key(NamedTuple):
    """One run of one job."""

    id: UUID
    fence: int


class Post(IntEnum):
    """Why the supervisor wants a run to stop."""

    NONE = 0
    CANCEL = 1
    TIMEOUT = 2
    DRAIN = 3


@dataclass(frozen=True, slots=True)
class ChildState:
    """What a child says it does. `held` are the claims it answers for, `run` the one whose code runs now."""

    pid: int
    claiming: bool
    held: tuple[Key, ...]
    run: Key | None
    run_since: float
    run_deadline: float | None

    @property
    def busy(self) -> bool:
        """True if the child answers for a job or may be getting one."""
        return self.claiming or bool(self.held)


IDLE: Final = ChildState(0, False, (), None, 0.0, None)


class Slot:
    """One child's part of the shared memory."""

    def __init__(self, memory: mmap.mmap, words: memoryview, offset: int, index: int) -> None:
        self._memory = memory
        self._words = words
        self._child_at = offset
        self._post_at = offset + _POST_AT
        self._child_version = self._child_at // _WORD
        self._post_version = self._post_at // _WORD
        self.index = index
        self._held_written: tuple[Key, ...] = ()

    def write(self, state: ChildState) -> None:
        """Child only: say what this child does now."""
        if len(state.held) > MAX_HELD:
            raise ValueError(f"a child holds at most {MAX_HELD} jobs")
        self._words[self._child_version] += 1
        _CHILD.pack_into(
            self._memory,
            self._child_at + _WORD,
            state.pid,
            state.claiming,
            len(state.held),
            state.run.id.bytes if state.run else _NO_ID,
            state.run.fence if state.run else 0,
            state.run_since,
            -1.0 if state.run_deadline is None else state.run_deadline,
        )
        if state.held is not self._held_written:
            keys = b"".join(_KEY.pack(key.id.bytes, key.fence) for key in state.held)
            start = self._child_at + _HELD_AT
            self._memory[start : start + len(keys)] = keys
            self._held_written = state.held
        self._words[self._child_version] += 1

    def read(self) -> ChildState:
        """What the child in this slot does; for a child that died while writing, what could be read."""
        raw = self._whole(self._child_at, _CHILD.size + MAX_HELD * _KEY.size)
        pid, claiming, count, run_id, run_fence, since, deadline = _CHILD.unpack_from(raw)
        keys = raw[_CHILD.size : _CHILD.size + min(max(count, 0), MAX_HELD) * _KEY.size]
        held = tuple(Key(UUID(bytes=job_id), fence) for job_id, fence in _KEY.iter_unpack(keys))
        run = Key(UUID(bytes=run_id), run_fence) if run_fence else None
        return ChildState(pid, claiming, held, run, since, None if deadline < 0 else deadline)

    def clear(self) -> None:
        """Supervisor only, once the child is dead and accounted for: the next child may take the slot."""
        self.post(None)
        self._words[self._child_version] += self.version % 2  # odd if the child died while it wrote
        self.write(IDLE)

    @property
    def version(self) -> int:
        """Rises with every change the child writes."""
        return self._words[self._child_version]

    def post(self, key: Key | None, reason: Post = Post.NONE) -> None:
        """Supervisor only: ask the child to stop this run; None takes the post back."""
        self._words[self._post_version] += 1
        _POST.pack_into(
            self._memory, self._post_at + _WORD, key.id.bytes if key else _NO_ID, key.fence if key else 0, reason
        )
        self._words[self._post_version] += 1

    def posted(self, key: Key) -> Post:
        """Child: what the supervisor wants of this run."""
        job_id, fence, reason = _POST.unpack(self._whole(self._post_at, _POST.size))
        return Post(reason) if fence == key.fence and job_id == key.id.bytes else Post.NONE

    def _whole(self, at: int, size: int) -> bytes:
        """What follows the version at `at`, unmixed."""
        for _ in range(_READ_TRIES):
            before = self._words[at // _WORD]
            raw = self._memory[at + _WORD : at + _WORD + size]
            if before % 2 == 0 and self._words[at // _WORD] == before:
                break
            time.sleep(_READ_AGAIN_S)
        return raw


class Slots(Sequence[Slot]):
    """The shared memory of one worker: create it before the first fork."""

    def __init__(self, count: int, main_pid: int) -> None:
        self._memory = mmap.mmap(-1, _HEADER.size + count * _SLOT_SIZE)
        self._words = memoryview(self._memory).cast("q")
        self._times = memoryview(self._memory).cast("d")
        _HEADER.pack_into(self._memory, 0, 0.0, _NO_ID, 0.0, main_pid, 0.0)
        starts = range(_HEADER.size, len(self._memory), _SLOT_SIZE)
        self._slots = [Slot(self._memory, self._words, start, index) for index, start in enumerate(starts)]
        for slot in self._slots:
            slot.write(IDLE)

    def __getitem__(self, index: int) -> Slot:  # type: ignore[override]
        return self._slots[index]

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def main_pid(self) -> int:
        """The pid of the Celery main process."""
        return int(_HEADER.unpack_from(self._memory)[3])

    @property
    def deadline(self) -> float:
        """When the lease ends: nobody runs a job past it."""
        return self._times[_DEADLINE]

    @property
    def worker_id(self) -> UUID | None:
        """Under which id this worker claims; None while it has no lease."""
        raw = _HEADER.unpack_from(self._memory)[1]
        return None if raw == _NO_ID else UUID(bytes=raw)

    def renew(self, worker_id: UUID, deadline: float) -> None:
        """Supervisor only: the lease holds until `deadline`."""
        self._set_worker(worker_id.bytes)
        self._times[_DEADLINE] = deadline

    def expire(self) -> None:
        """Supervisor only: there is no lease now."""
        self._times[_DEADLINE] = 0.0
        self._set_worker(_NO_ID)

    @property
    def draining_since(self) -> float | None:
        """When SIGTERM came; None before. A single store: safe inside a signal handler."""
        return self._times[_DRAIN] or None

    def drain(self, now: Callable[[], float] = time.monotonic) -> None:
        """Main only: take no more jobs from now on."""
        if self.draining_since is None:
            self._times[_DRAIN] = now()

    @property
    def looked_at(self) -> float:
        """When the supervisor last looked after this worker."""
        return self._times[_LOOKED]

    def looked(self) -> None:
        """Supervisor only: it looks after this worker."""
        self._times[_LOOKED] = time.monotonic()

    def _set_worker(self, raw: bytes) -> None:
        self._memory[_WORKER_AT : _WORKER_AT + len(raw)] = raw
