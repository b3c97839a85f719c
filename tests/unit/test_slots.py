"""Shared memory between real processes: no reader ever sees half of what another process writes."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from jobcore.states import Lane
from jobcore.supervision import shared_record
from jobcore.supervision.child_state import (
    IDLE,
    MAX_CLAIMS,
    ChildState,
    RunKey,
    RunState,
    unknown,
)
from jobcore.supervision.slots import Lease, Slots
from jobcore.supervision.stops import Stop, StopReason
from tests.unit.slot_states import FORK, PID, WATCH_S, beside, state


def test_what_a_child_wrote_is_what_others_read() -> None:
    slots = Slots(3, main_pid=7)
    keys = tuple(RunKey(uuid4(), fence) for fence in range(3, 6))
    main = RunState(keys[0], Lane.PROCESS, 1.5, None)
    background = RunState(keys[1], Lane.ASYNC, 2.5, 9.5), RunState(keys[2], Lane.THREAD, 3.5, None)
    written = ChildState(42, True, keys, main, background)
    child = FORK.Process(target=slots[1].write, args=(written,))
    child.start()
    child.join()
    assert slots[1].read() == written
    assert slots[1].read().runs == (main, *background)
    assert [slots[0].read(), slots[2].read()] == [IDLE, IDLE]
    assert slots.main_pid == 7
    assert [slot.index for slot in slots] == [0, 1, 2]


def test_a_reader_never_sees_half_a_change() -> None:
    slot = Slots(2, main_pid=1)[1]
    slot.write(state(1))
    number = 1

    def write() -> None:
        nonlocal number
        number = number % 1000 + 1
        slot.write(state(number))
        time.sleep(0.00005)  # no child writes without a pause

    seen: set[float] = set()
    with beside(write):
        until = time.monotonic() + WATCH_S
        while time.monotonic() < until or len(seen) <= 100:
            found = slot.read()
            assert found.main
            assert found == state(int(found.main.since))
            seen.add(found.main.since)


def test_the_version_rises_with_every_change() -> None:
    slot = Slots(1, main_pid=1)[0]
    before = slot.version
    slot.write(state(1))
    slot.write(state(1))
    assert slot.version == before + 2


def test_the_version_is_never_seen_to_fall_while_it_is_written() -> None:
    slot = Slots(1, main_pid=1)[0]
    slot.write(state(1))
    lowest = slot.version
    with beside(lambda: slot.write(state(1))):
        until = time.monotonic() + WATCH_S
        while time.monotonic() < until:
            version = slot.version
            assert version >= lowest
            lowest = version


def test_the_lease_is_never_seen_to_be_over_while_it_is_renewed() -> None:
    """A watchdog that read 0 here would kill every child of a healthy worker."""
    slots = Slots(1, main_pid=1)
    worker, other = uuid4(), uuid4()
    # all bytes of the two deadlines differ
    early, late = 1.1, 1e9 / 3
    slots.renew(worker, early)

    def renew() -> None:
        slots.renew(other, late)
        slots.renew(worker, early)

    with beside(renew):
        until = time.monotonic() + WATCH_S
        while time.monotonic() < until:
            assert slots.lease in {Lease(worker, early), Lease(other, late)}


def test_a_lease_that_was_given_up_is_over() -> None:
    slots = Slots(1, main_pid=1)
    assert (slots.worker_id, slots.deadline) == (None, 0.0)
    worker = uuid4()
    slots.renew(worker, 12.5)
    assert (slots.worker_id, slots.deadline, slots.main_pid) == (worker, 12.5, 1)
    slots.expire()
    assert (slots.worker_id, slots.deadline, slots.main_pid) == (None, 0.0, 1)


def test_draining_begins_once() -> None:
    slots = Slots(1, main_pid=1)
    assert slots.draining_since is None
    slots.drain(lambda: 5.0)
    slots.drain(lambda: 9.0)
    assert slots.draining_since == 5.0
    slots.renew(uuid4(), 1.0)
    assert slots.draining_since == 5.0


class Stops(BaseException):
    """Where SIGSTOP or SIGKILL strikes a writer."""


@pytest.fixture
def stop_within_a_write(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Begin a write that goes no further than half of what it has to do."""

    def stop(write: Callable[[], None]) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(shared_record, "_STAMP", _Stamp())
            with pytest.raises(Stops):
                write()

    return stop


class _Stamp:
    size = shared_record._STAMP.size

    def pack_into(self, *_: object) -> None:
        raise Stops


@pytest.mark.parametrize("number", [2, 3], ids=["both", "copies"])
def test_a_writer_that_is_frozen_within_a_change_is_read_as_it_was_before(
    stop_within_a_write: Callable[[Callable[[], None]], None], number: int
) -> None:
    slots = Slots(1, main_pid=1)
    slot, key, worker = slots[0], RunKey(uuid4(), 1), uuid4()
    for one in range(number):
        slot.write(state(one))
        slot.write_stops([Stop(key, StopReason.CANCEL, interrupt=False)])
        slots.renew(worker, float(one))
    stop_within_a_write(lambda: slot.write(state(9)))
    stop_within_a_write(lambda: slot.write_stops(()))
    stop_within_a_write(slots.expire)
    assert slot.read() == state(number - 1)
    assert slot.stop_reason(key) is StopReason.CANCEL
    assert slots.lease == Lease(worker, number - 1.0)


def test_a_child_that_died_while_writing_is_read_all_the_same_and_its_slot_can_be_cleared(
    stop_within_a_write: Callable[[Callable[[], None]], None],
) -> None:
    slot = Slots(1, main_pid=1)[0]
    slot.write(state(5))
    stop_within_a_write(lambda: slot.write(state(6)))
    assert slot.read() == state(5)
    slot.clear()
    assert slot.read() == IDLE
    slot.write(state(6))
    assert slot.read() == state(6)


def test_a_damaged_slot_is_unknown_and_busy_until_its_child_writes_again() -> None:
    """As a stray write of native code leaves it: nothing may be concluded of what its child does."""
    slots = Slots(2, main_pid=1)
    slots[0].take(PID, 5)
    slots[0].write(state(2))
    claim = slots._memory.find(state(2).claims[0].id.bytes)
    slots._memory[claim : claim + 4] = b"oops"
    slots._memory[slots._memory.rfind(state(2).claims[0].id.bytes)] ^= 1
    assert slots[0].read() == unknown(PID)
    assert slots[0].read().busy
    assert not slots[0].read().known
    assert (slots[0].pid, slots[0].started) == (PID, 5)
    assert slots[1].read() == IDLE
    slots[0].write(state(3))
    assert slots[0].read() == state(3)


def test_a_slot_says_which_process_has_it_and_since_when() -> None:
    slot = Slots(1, main_pid=1)[0]
    slot.take(PID, 1234)
    slot.write(state(2))
    assert (slot.pid, slot.started) == (PID, 1234)
    slot.clear()
    assert slot.pid == 0


def test_a_child_holds_up_to_its_limit_and_no_more() -> None:
    slots = Slots(2, main_pid=1)
    full = ChildState(1, False, tuple(RunKey(uuid4(), fence) for fence in range(1, MAX_CLAIMS + 1)), None)
    slots[0].write(full)
    assert slots[0].read() == full
    assert slots[1].read() == IDLE
    with pytest.raises(ValueError, match="at most"):
        slots[0].write(ChildState(1, False, full.claims * 2, None))
    assert slots[0].read() == full


@pytest.mark.parametrize(
    ("child", "busy"),
    [
        (IDLE, False),
        (ChildState(1, False, (), None), False),
        (ChildState(1, True, (), None), True),
        (ChildState(1, False, (RunKey(uuid4(), 1),), None), True),
    ],
)
def test_a_child_is_busy_while_it_answers_for_a_job_or_may_get_one(child: ChildState, busy: bool) -> None:
    assert child.busy is busy
