"""Shared memory between real processes: no reader ever sees half of what another process writes."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import pytest

from jobcore.supervision import shared_record
from jobcore.supervision.child_state import IDLE, MAX_CLAIMS, ChildState, RunKey, unknown
from jobcore.supervision.slots import Lease, Slots, StopReason

FORK = multiprocessing.get_context("fork")
WATCH_S = 0.5
PID = 77


def state(number: int) -> ChildState:
    """A state of which every field says the same number."""
    key = RunKey(UUID(int=number), number)
    return ChildState(PID, number % 2 == 1, (key,) * (number % MAX_CLAIMS), key, float(number), float(number))


@contextmanager
def beside(work: Callable[[], None]) -> Iterator[None]:
    """Run this over and over in a process of its own."""

    def forever() -> None:
        while True:
            work()

    process = FORK.Process(target=forever, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def test_what_a_child_wrote_is_what_others_read() -> None:
    slots = Slots(3, main_pid=7)
    written = ChildState(42, True, (RunKey(uuid4(), 3), RunKey(uuid4(), 4)), RunKey(uuid4(), 4), 1.5, None)
    child = FORK.Process(target=slots[1].write, args=(written,))
    child.start()
    child.join()
    assert slots[1].read() == written
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
            assert found == state(int(found.run_since))
            seen.add(found.run_since)


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
        slot.request_stop(key, StopReason.CANCEL)
        slots.renew(worker, float(one))
    stop_within_a_write(lambda: slot.write(state(9)))
    stop_within_a_write(slot.withdraw_stop)
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


def test_clearing_a_slot_takes_its_post_back_and_leaves_the_others_alone() -> None:
    slots = Slots(2, main_pid=1)
    mine, other = RunKey(uuid4(), 1), RunKey(uuid4(), 2)
    slots[0].request_stop(mine, StopReason.CANCEL)
    slots[1].request_stop(other, StopReason.DRAIN)
    slots[1].write(state(3))
    slots[0].clear()
    assert slots[0].stop_reason(mine) is StopReason.NONE
    assert slots[1].stop_reason(other) is StopReason.DRAIN
    assert slots[1].read() == state(3)


def test_a_post_is_for_one_run_of_one_job_alone() -> None:
    slot = Slots(1, main_pid=1)[0]
    key = RunKey(uuid4(), 4)
    slot.request_stop(key, StopReason.TIMEOUT)
    assert slot.stop_reason(key) is StopReason.TIMEOUT
    assert slot.stop_reason(RunKey(key.id, 5)) is StopReason.NONE
    assert slot.stop_reason(RunKey(uuid4(), 4)) is StopReason.NONE
    slot.withdraw_stop()
    assert slot.stop_reason(key) is StopReason.NONE


def test_a_post_that_changes_is_never_taken_for_another() -> None:
    """The reason given is the one for this very run, also while posts for other runs come and go."""
    slot = Slots(1, main_pid=1)[0]
    cancelled, late = RunKey(UUID(int=2**127 + 1), 1), RunKey(UUID(int=2**64 - 1), 1)

    def request() -> None:
        slot.request_stop(cancelled, StopReason.CANCEL)
        slot.request_stop(late, StopReason.TIMEOUT)
        slot.withdraw_stop()

    with beside(request):
        until = time.monotonic() + WATCH_S
        while time.monotonic() < until:
            assert slot.stop_reason(cancelled) in {StopReason.NONE, StopReason.CANCEL}
            assert slot.stop_reason(late) in {StopReason.NONE, StopReason.TIMEOUT}


def test_a_child_holds_up_to_its_limit_and_no_more() -> None:
    slots = Slots(2, main_pid=1)
    full = ChildState(1, False, tuple(RunKey(uuid4(), fence) for fence in range(1, MAX_CLAIMS + 1)), None, 0.0, None)
    slots[0].write(full)
    assert slots[0].read() == full
    assert slots[1].read() == IDLE
    with pytest.raises(ValueError, match="at most"):
        slots[0].write(ChildState(1, False, full.claims * 2, None, 0.0, None))
    assert slots[0].read() == full


@pytest.mark.parametrize(
    ("child", "busy"),
    [
        (IDLE, False),
        (ChildState(1, False, (), None, 0.0, None), False),
        (ChildState(1, True, (), None, 0.0, None), True),
        (ChildState(1, False, (RunKey(uuid4(), 1),), None, 0.0, None), True),
    ],
)
def test_a_child_is_busy_while_it_answers_for_a_job_or_may_get_one(child: ChildState, busy: bool) -> None:
    assert child.busy is busy
