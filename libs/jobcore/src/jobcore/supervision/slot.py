"""One child's part of the shared memory: what it does, and what the supervisor wants of it; `slots` has the layout."""

from __future__ import annotations

import mmap
import signal
import zlib
from collections.abc import Iterable, Mapping
from typing import Final

from jobcore.supervision import stops as stop_bytes
from jobcore.supervision.child_state import (
    IDLE,
    STATE_SIZE,
    ChildState,
    RunKey,
    RunState,
    pack_background,
    pack_claims,
    pack_head,
    unknown,
    unpack,
)
from jobcore.supervision.shared_record import WORD, SharedRecord
from jobcore.supervision.stops import STOPS_SIZE, Stop, StopReason

STOP_SIGNAL: Final = signal.SIGUSR2
"""Tells a child to read the stop of the run on its main thread."""
BEAT_S: Final = 0.1
"""How often the event loop of a child with async runs posts that it turns, in seconds."""

# in words, from the start of the slot
_PID: Final = 0
_STARTED: Final = 1
_LOOP_BEAT: Final = 2
_LOOP_RUN: Final = 3
_RETIRE: Final = 4
_INTERRUPTED: Final = 5
_STATE_AT: Final = 6 * WORD
_STOPS_AT: Final = _STATE_AT + SharedRecord.size(STATE_SIZE)
SLOT_SIZE: Final = _STOPS_AT + SharedRecord.size(STOPS_SIZE)
"""The bytes of a slot."""
_LOOP_TAG: Final = 2**62 - 1


class Slot:
    """One child's part of the shared memory."""

    def __init__(self, memory: mmap.mmap, words: memoryview, times: memoryview[float], offset: int, index: int) -> None:
        self._words = words
        self._times = times
        self._first = offset // WORD
        self._pid = self._first + _PID
        self._state = SharedRecord(memory, words, offset + _STATE_AT, STATE_SIZE)
        self._stops = SharedRecord(memory, words, offset + _STOPS_AT, STOPS_SIZE)
        self._stops_read: tuple[int, Mapping[RunKey, Stop]] = (0, {})
        self.index = index
        self._claims: tuple[RunKey, ...] = ()
        self._background: tuple[RunState, ...] = ()
        self._packed_claims = self._lists = b""
        self._lists_crc = 0
        self._read = b"", IDLE

    @property
    def pid(self) -> int:
        """The process that has the slot; 0 for none."""
        return self._words[self._pid]

    @property
    def started(self) -> int:
        """When that process started (`jobcore.host.processes.started`): tells it from a later one with the same pid."""
        return self._words[self._first + _STARTED]

    def take(self, pid: int, started: int) -> None:
        """Child only: take this slot for a process that does nothing yet."""
        self._words[self._first + _STARTED] = started
        self.write(IDLE._replace(pid=pid))

    def write(self, state: ChildState) -> None:
        """Child only: say what this child does now; ValueError for more than `MAX_CLAIMS` or `MAX_BACKGROUND`."""
        pid, _, claims, _, background, _ = state
        if claims is not self._claims or background is not self._background:
            self._pack_lists(claims, background)
        if pid:
            self._words[self._pid] = pid
        head = pack_head(state)
        # a child writes twice a job, so the bytes and the checksum of what did not change are kept between writes
        self._state.write(self._lists + head, zlib.crc32(head, self._lists_crc))
        if not pid:
            self._words[self._pid] = 0

    def _pack_lists(self, claims: tuple[RunKey, ...], background: tuple[RunState, ...]) -> None:
        packed_claims = self._packed_claims if claims is self._claims else pack_claims(claims)
        self._lists = packed_claims + pack_background(background)
        self._lists_crc = zlib.crc32(self._lists)
        self._claims, self._background, self._packed_claims = claims, background, packed_claims

    def read(self) -> ChildState:
        """What the child in this slot said last; a write that was cut short by a freeze or a death does not count."""
        raw = self._state.read()
        pid = self.pid
        if raw is None:
            return unknown(pid)
        if raw != self._read[0] or pid != self._read[1].pid:
            self._read = raw, unpack(pid, raw)
        return self._read[1]

    def clear(self) -> None:
        """Supervisor only, once the child is dead and accounted for: free the slot for the next child."""
        self.write_stops(())
        self.set_retiring(False)
        self.post_loop_beat(0.0)
        self.post_loop_run(None)
        self.post_interrupted(None)
        self.write(IDLE)

    @property
    def version(self) -> int:
        """Rises with every change the child writes."""
        return self._state.version

    def write_stops(self, stops: Iterable[Stop]) -> None:
        """Supervisor only: these are the runs that the child must stop; runs that are not among them may continue."""
        self._stops.write(stop_bytes.pack(stops))

    @property
    def stops_version(self) -> int:
        """Rises with every change of the stops; a child with background runs compares it every few milliseconds."""
        return self._stops.version

    @property
    def stops(self) -> Mapping[RunKey, Stop]:
        """Child: the runs that the supervisor wants to stop."""
        version = self._stops.version
        if version != self._stops_read[0]:  # read anew only if they changed: a child asks after each job
            self._stops_read = version, stop_bytes.unpack(self._stops.read() or b"")
        return self._stops_read[1]

    def stop_reason(self, key: RunKey) -> StopReason:
        """Child: why the supervisor wants this run to stop; NONE if it does not."""
        stops = self.stops
        return stops[key].reason if stops and key in stops else StopReason.NONE

    def wants_interrupt(self, key: RunKey) -> bool:
        """Child: whether the supervisor wants this run to be interrupted."""
        stop = self.stops.get(key)
        return stop is not None and stop.interrupt

    @property
    def retiring(self) -> bool:
        """Whether the child may claim nothing now, because a run that does not stop may soon cost its life."""
        return bool(self._words[self._first + _RETIRE])

    def set_retiring(self, retiring: bool) -> None:
        """Supervisor only: forbid the child to claim, or allow it again."""
        self._words[self._first + _RETIRE] = retiring

    @property
    def loop_beat(self) -> float:
        """When the child's event loop last turned (`time.monotonic()`); 0 while no async run needs it to."""
        return self._times[self._first + _LOOP_BEAT]

    def post_loop_beat(self, now: float) -> None:
        """Child only: its event loop turns; 0 once it has no async run."""
        self._times[self._first + _LOOP_BEAT] = now

    @property
    def loop_run(self) -> int:
        """The `run_tag` of the run whose code the child's event loop executes now; 0 for none."""
        return self._words[self._first + _LOOP_RUN]

    def post_loop_run(self, key: RunKey | None) -> None:
        """Child only: the event loop executes code of this run from now on; None once it does not."""
        self._words[self._first + _LOOP_RUN] = run_tag(key) if key else 0

    def was_interrupted(self, key: RunKey) -> bool:
        """Whether the child's main thread has handled the signal that asked it to interrupt this run."""
        return self._words[self._first + _INTERRUPTED] == run_tag(key)

    def post_interrupted(self, key: RunKey | None) -> None:
        """Child only: its main thread has handled the signal for this run."""
        self._words[self._first + _INTERRUPTED] = run_tag(key) if key else 0


def run_tag(key: RunKey) -> int:
    """A number that tells a run from the other runs of its child: 62 bits of a UUID that are random."""
    return key.id.int & _LOOP_TAG
