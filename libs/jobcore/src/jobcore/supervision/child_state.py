"""What a child does, as a value and as the bytes in its slot.

    claims       id and fence of each job that the child answers for           up to MAX_CLAIMS
    background   key, lane, start and deadline of each async and thread run    up to MAX_BACKGROUND
    head         is it claiming? how many background runs? the main thread's run

A child that runs quick jobs one after the other changes only the head: its slot keeps the bytes of the lists.
"""

from __future__ import annotations

import struct
from functools import cached_property
from typing import Final, NamedTuple, Self
from uuid import UUID

from jobcore.states import Lane

MAX_BACKGROUND: Final = 200
"""The most async and thread runs of a child together: the largest LONGRUN_JOBS_PER_CHILD."""
MAX_RUNS: Final = MAX_BACKGROUND + 1
"""With the run on the main thread."""
MAX_CLAIMS: Final = 512
"""More than MAX_RUNS, because a child also answers for jobs that wait for their start, and for unstored outcomes."""

# each struct is a multiple of 8 bytes
_CLAIM: Final = struct.Struct("=16sq")  # id, fence
_RUN: Final = struct.Struct("=16sqddB7x")  # id, fence, since, deadline, lane
_HEAD: Final = struct.Struct("=?xH4x16sqdd")  # claiming, background runs; id, fence, since, deadline of the main run
STATE_SIZE: Final = MAX_CLAIMS * _CLAIM.size + MAX_BACKGROUND * _RUN.size + _HEAD.size
"""The most bytes of a state."""
_NO_ID: Final = bytes(16)
_NO_DEADLINE: Final = -1.0
_LANES: Final = tuple(Lane)


class RunKey(NamedTuple):
    """One run of one job."""

    id: UUID
    fence: int

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """The key with this text, `ID/FENCE`; None if there is none."""
        job_id, _, fence = (text or "").partition("/")
        try:
            return cls(UUID(job_id), int(fence))
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.id}/{self.fence}"


class _RunState(NamedTuple):
    key: RunKey
    lane: Lane
    since: float
    deadline: float | None


class RunState(_RunState):
    """A run whose code runs now: since when, and when it times out (`time.monotonic()`)."""

    @cached_property
    def packed(self) -> bytes:
        """Its bytes in the list of background runs, which a child writes anew when one of them begins or ends."""
        (job_id, fence), lane, since, deadline = self
        timeout = _NO_DEADLINE if deadline is None else deadline
        return _RUN.pack(job_id.bytes, fence, since, timeout, _LANES.index(lane))


class ChildState(NamedTuple):
    """What a child says that it does.

    `claims` are the jobs it answers for. Of these, `main` is the one whose code runs on the main thread (the process
    lane), and `background` are those that run on the event loop and in threads. If `known` is false the slot is
    damaged: the child may have, run or be claiming any job.
    """

    pid: int
    claiming: bool
    claims: tuple[RunKey, ...]
    main: RunState | None
    background: tuple[RunState, ...] = ()
    known: bool = True

    @property
    def busy(self) -> bool:
        """True if the child answers for a job or may be getting one."""
        return self.claiming or bool(self.claims)

    def has_room(self, background: int) -> bool:
        """True if the child takes wake-ups: its main thread is free, and fewer than `background` runs are behind it."""
        return self.known and not self.claiming and self.main is None and len(self.background) < background

    @property
    def runs(self) -> tuple[RunState, ...]:
        """Every run of every lane."""
        return self.background if self.main is None else (self.main, *self.background)


IDLE: Final = ChildState(0, False, (), None)


def unknown(pid: int) -> ChildState:
    """The state of a child whose slot cannot be read: it may answer for any job."""
    return ChildState(pid, True, (), None, known=False)


def pack_claims(claims: tuple[RunKey, ...]) -> bytes:
    """The first part of a state's bytes; ValueError for more than MAX_CLAIMS."""
    if len(claims) > MAX_CLAIMS:
        raise ValueError(f"a child has at most {MAX_CLAIMS} claims")
    return b"".join([_CLAIM.pack(key.id.bytes, key.fence) for key in claims])


def pack_background(background: tuple[RunState, ...]) -> bytes:
    """The second part of a state's bytes; ValueError for more than MAX_BACKGROUND."""
    if len(background) > MAX_BACKGROUND:
        raise ValueError(f"a child has at most {MAX_BACKGROUND} background runs")
    return b"".join([run.packed for run in background])


def pack_head(state: ChildState) -> bytes:
    """The last part of a state's bytes."""
    _, claiming, _, main, background, _ = state
    if main is None:
        return _HEAD.pack(claiming, len(background), _NO_ID, 0, 0.0, _NO_DEADLINE)
    (job_id, fence), _, since, deadline = main
    timeout = _NO_DEADLINE if deadline is None else deadline
    return _HEAD.pack(claiming, len(background), job_id.bytes, fence, since, timeout)


def unpack(pid: int, state: bytes) -> ChildState:
    """The state of the child with this pid from the parts of its bytes together."""
    head_at = len(state) - _HEAD.size
    claiming, background_count, main_id, main_fence, main_since, main_deadline = _HEAD.unpack_from(state, head_at)
    background_at = head_at - background_count * _RUN.size
    claims = tuple(RunKey(UUID(bytes=job_id), fence) for job_id, fence in _CLAIM.iter_unpack(state[:background_at]))
    background = tuple(
        _run_state(run_id, fence, since, deadline, _LANES[lane])
        for run_id, fence, since, deadline, lane in _RUN.iter_unpack(state[background_at:head_at])
    )
    main = _run_state(main_id, main_fence, main_since, main_deadline, Lane.PROCESS) if main_fence else None
    return ChildState(pid, claiming, claims, main, background)


def _run_state(job_id: bytes, fence: int, since: float, deadline: float, lane: Lane) -> RunState:
    return RunState(RunKey(UUID(bytes=job_id), fence), lane, since, None if deadline == _NO_DEADLINE else deadline)
