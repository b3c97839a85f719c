"""What a child does, as a value and as the bytes in its slot.

claims   id and fence of each job that the child answers for
run      claiming?, id and fence of the job that runs, when it began, when it times out
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple, Self
from uuid import UUID

MAX_CLAIMS: Final = 256
_CLAIM: Final = struct.Struct("=16sq")  # id, fence
_RUN: Final = struct.Struct("=?7x16sqdd")  # claiming, run id, run fence, run since, run deadline; a multiple of 8 bytes
STATE_SIZE: Final = MAX_CLAIMS * _CLAIM.size + _RUN.size
"""The most bytes of a state."""
_NO_ID: Final = bytes(16)


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


class ChildState(NamedTuple):
    """What a child says that it does: `claims` are those it answers for, `run` is the one whose code runs now.

    Times are `time.monotonic()`. If `known` is false the slot is damaged: the child may have, run or be claiming any
    job.
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
    """The state of a child whose slot cannot be read: it may answer for any job."""
    return ChildState(pid, True, (), None, 0.0, None, known=False)


def pack_claims(claims: tuple[RunKey, ...]) -> bytes:
    """The first part of a state's bytes; ValueError for more than MAX_CLAIMS."""
    if len(claims) > MAX_CLAIMS:
        raise ValueError(f"a child has at most {MAX_CLAIMS} claims")
    return b"".join(_CLAIM.pack(key.id.bytes, key.fence) for key in claims)


def pack_run(state: ChildState) -> bytes:
    """The second part of a state's bytes."""
    run = state.run
    return _RUN.pack(
        state.claiming,
        run.id.bytes if run else _NO_ID,
        run.fence if run else 0,
        state.run_since,
        -1.0 if state.run_deadline is None else state.run_deadline,
    )


def unpack(pid: int, state: bytes) -> ChildState:
    """The state of the child with this pid from both parts of its bytes."""
    claims_size = len(state) - _RUN.size
    claiming, run_id, run_fence, since, deadline = _RUN.unpack_from(state, claims_size)
    claims = tuple(RunKey(UUID(bytes=job_id), fence) for job_id, fence in _CLAIM.iter_unpack(state[:claims_size]))
    run = RunKey(UUID(bytes=run_id), run_fence) if run_fence else None
    return ChildState(pid, claiming, claims, run, since, None if deadline < 0 else deadline)
