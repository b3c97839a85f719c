"""Batches grow only for what is quick, and shrink at the first sign that it is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobcore.worker.batching import BATCH_S, MAX_BATCH, MIN_RUNS, BatchSize

QUICK_S = 0.0001


def learned(run_s: float, runs: int = MIN_RUNS, task_type: str = "echo") -> BatchSize:
    size = BatchSize()
    for _ in range(runs):
        size.record(task_type, run_s)
    return size


def grow(size: BatchSize, claims: int = 10) -> int:
    for _ in range(claims):
        size.claimed(size.next(), more=True)
    return size.next()


def test_one_job_is_claimed_while_nothing_is_known() -> None:
    size = BatchSize()
    assert (size.next(), size.quick()) == (1, [])
    assert grow(size) == 1


def test_a_few_quick_runs_are_needed_before_a_type_is_trusted() -> None:
    assert learned(QUICK_S, MIN_RUNS - 1).quick() == []
    assert learned(QUICK_S, MIN_RUNS).quick() == ["echo"]


def test_the_size_doubles_while_more_is_ready_up_to_its_limit() -> None:
    size = learned(QUICK_S)
    sizes = []
    for _ in range(10):
        sizes.append(size.next())
        size.claimed(size.next(), more=True)
    assert sizes == [1, 2, 4, 8, 16, 32, 64, 128, 128, 128]


def test_the_size_falls_by_halves_to_what_there_is_when_no_more_is_ready() -> None:
    size = learned(QUICK_S)
    assert grow(size) == MAX_BATCH
    sizes = []
    for _ in range(6):
        size.claimed(6, more=False)
        sizes.append(size.next())
    assert sizes == [64, 32, 16, 8, 6, 6]


def test_one_slow_run_ends_batches_of_its_type_at_once() -> None:
    size = learned(QUICK_S, 100)
    assert grow(size) == MAX_BATCH
    size.record("echo", 2.0)
    assert (size.next(), size.quick()) == (1, [])


def test_trust_comes_back_only_after_many_quick_runs() -> None:
    size = learned(QUICK_S, 100)
    size.record("echo", 2.0)
    runs = 0
    while not size.quick():
        size.record("echo", QUICK_S)
        runs += 1
    assert 10 <= runs <= 100


@pytest.mark.parametrize("run_s", [BATCH_S, 1.0, 3600.0])
def test_a_slow_type_is_claimed_one_by_one(run_s: float) -> None:
    assert grow(learned(run_s, 50)) == 1


def test_a_slow_type_does_not_slow_a_quick_one_down() -> None:
    size = learned(QUICK_S)
    size.record("scrape", 5.0)
    assert size.quick() == ["echo"]
    assert grow(size) == MAX_BATCH


@given(st.lists(st.floats(0, BATCH_S / 2), min_size=MIN_RUNS, max_size=30))
def test_a_batch_of_runs_as_slow_as_the_average_is_over_in_time(runs_s: list[float]) -> None:
    size = BatchSize()
    for run_s in runs_s:
        size.record("echo", run_s)
    count = grow(size)
    average = size._average_s["echo"]
    assert 1 <= count <= MAX_BATCH
    assert count * average <= BATCH_S * 1.001


def test_batches_shrink_to_what_starts_in_time_on_a_busy_machine_and_grow_again() -> None:
    size = learned(QUICK_S)
    assert grow(size) == MAX_BATCH
    size.ended(20, 2 * BATCH_S)  # the other 108 jobs were handed back
    assert 1 <= grow(size) <= 10
    batches = 0
    while grow(size) < MAX_BATCH:
        size.ended(size.next(), size.next() * QUICK_S)
        batches += 1
    assert 2 <= batches <= 100
