"""What a slot says of many runs of one child, and the stops of each of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from annotated_types import Le

from jobcore.settings import WorkerSettings
from jobcore.states import Lane
from jobcore.supervision.child_state import MAX_BACKGROUND, MAX_RUNS, ChildState, RunKey, RunState, unknown
from jobcore.supervision.slot import run_tag
from jobcore.supervision.slots import Slots
from jobcore.supervision.stops import Stop, StopReason
from jobcore.worker.child_claims import ChildClaims
from tests.unit.slot_states import PID, WATCH_S, beside, state


def test_clearing_a_slot_takes_its_stops_back_and_leaves_the_others_alone() -> None:
    slots = Slots(2, main_pid=1)
    mine, other = RunKey(uuid4(), 1), RunKey(uuid4(), 2)
    slots[0].write_stops([Stop(mine, StopReason.CANCEL, interrupt=False)])
    slots[1].write_stops([Stop(other, StopReason.DRAIN, interrupt=False)])
    slots[1].write(state(3))
    slots[0].clear()
    assert slots[0].stop_reason(mine) is StopReason.NONE
    assert slots[1].stop_reason(other) is StopReason.DRAIN
    assert slots[1].read() == state(3)


def test_a_stop_is_for_one_run_of_one_job_alone() -> None:
    slot = Slots(1, main_pid=1)[0]
    key = RunKey(uuid4(), 4)
    slot.write_stops([Stop(key, StopReason.TIMEOUT, interrupt=False)])
    assert slot.stop_reason(key) is StopReason.TIMEOUT
    assert slot.stop_reason(RunKey(key.id, 5)) is StopReason.NONE
    assert slot.stop_reason(RunKey(uuid4(), 4)) is StopReason.NONE
    slot.write_stops(())
    assert slot.stop_reason(key) is StopReason.NONE


def test_stops_that_change_are_never_taken_for_others() -> None:
    """The reason given is the one for this very run, also while stops of other runs come and go."""
    slot = Slots(1, main_pid=1)[0]
    cancelled, late = RunKey(UUID(int=2**127 + 1), 1), RunKey(UUID(int=2**64 - 1), 1)

    def request() -> None:
        slot.write_stops([Stop(cancelled, StopReason.CANCEL, interrupt=False)])
        slot.write_stops([Stop(late, StopReason.TIMEOUT, True), Stop(cancelled, StopReason.CANCEL, interrupt=True)])
        slot.write_stops([Stop(late, StopReason.TIMEOUT, interrupt=False)])
        slot.write_stops(())

    with beside(request):
        until = time.monotonic() + WATCH_S
        while time.monotonic() < until:
            assert slot.stop_reason(cancelled) in {StopReason.NONE, StopReason.CANCEL}
            assert slot.stop_reason(late) in {StopReason.NONE, StopReason.TIMEOUT}


def test_every_run_of_a_full_child_can_be_stopped_and_each_has_its_own_reason() -> None:
    slots = Slots(2, main_pid=1)
    reasons = [StopReason.CANCEL, StopReason.TIMEOUT, StopReason.DRAIN]
    stops = [Stop(RunKey(uuid4(), 1), reasons[one % 3], interrupt=one % 2 == 0) for one in range(MAX_RUNS)]
    before = slots[0].stops_version
    slots[0].write_stops(stops)
    assert slots[0].stops_version > before
    assert slots[0].stops == {stop.key: stop for stop in stops}
    assert [slots[0].stop_reason(stop.key) for stop in stops] == [stop.reason for stop in stops]
    assert slots[1].stops == {}


def test_a_full_child_lists_as_many_background_runs_as_a_setting_may_ask_for() -> None:
    setting = WorkerSettings.model_fields["jobs_per_child"]
    assert [limit.le for limit in setting.metadata if isinstance(limit, Le)] == [MAX_BACKGROUND]
    slot = Slots(1, main_pid=1)[0]
    runs = tuple(RunState(RunKey(uuid4(), 1), Lane.ASYNC, float(one), None) for one in range(MAX_BACKGROUND))
    full = ChildState(PID, False, tuple(run.key for run in runs), None, runs)
    slot.write(full)
    assert slot.read() == full
    with pytest.raises(ValueError, match="at most"):
        slot.write(full._replace(background=runs * 2))


def test_what_a_cleared_slot_said_of_its_child_is_not_said_of_the_next() -> None:
    slot, key = Slots(1, main_pid=1)[0], RunKey(uuid4(), 1)
    slot.set_retiring(True)
    slot.post_loop_beat(5.5)
    slot.post_loop_run(key)
    assert (slot.retiring, slot.loop_beat, slot.loop_run) == (True, 5.5, run_tag(key))
    slot.clear()
    assert (slot.retiring, slot.loop_beat, slot.loop_run) == (False, 0.0, 0)


def test_a_child_says_which_runs_begin_and_end_beside_the_one_on_its_main_thread() -> None:
    slot = Slots(1, main_pid=1)[0]
    said = ChildClaims(slot, PID)
    main, quick, slow = (RunKey(uuid4(), fence) for fence in (1, 2, 3))
    said.begin_background([(quick, Lane.ASYNC, None), (slow, Lane.THREAD, 60.0)])
    said.begin(main, None)
    assert [(run.key, run.lane) for run in slot.read().runs] == [
        (main, Lane.PROCESS),
        (quick, Lane.ASYNC),
        (slow, Lane.THREAD),
    ]
    said.end_background([quick])
    (left,) = slot.read().background
    assert left.deadline is not None
    assert left.deadline - left.since == 60.0
    said.end()
    assert [run.key for run in slot.read().runs] == [slow]
    assert said.background == 1


def test_a_child_takes_wake_ups_while_its_main_thread_is_free_and_it_has_room() -> None:
    slot = Slots(1, main_pid=1)[0]
    said = ChildClaims(slot, PID)
    keys = [RunKey(uuid4(), 1) for _ in range(2)]
    rooms = []
    changes: list[Callable[[], None]] = [
        lambda: said.begin_background([(keys[0], Lane.ASYNC, None)]),
        lambda: said.begin_background([(keys[1], Lane.THREAD, None)]),
        lambda: said.end_background(keys[:1]),
        lambda: said.begin(keys[0], None),
        said.end,
        said.claiming,
    ]
    for change in changes:
        change()
        rooms.append(slot.read().has_room(2))
    assert rooms == [True, False, True, False, True, False]
    assert not unknown(PID).has_room(2)
