"""The size of a step over a backlog: it fits into its time, whatever a row costs."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from jobcore.errors import StoreUnavailable
from jobcore.keeper import housekeeping
from jobcore.keeper.batch_pace import FIRST_SIZE, MAX_SIZE, STEP_S, BatchPace
from jobcore.keeper.housekeeping import Done, Pass


@pytest.mark.parametrize("row_s", [1e-5, 1e-3, 0.05, 3.0])
def test_a_step_takes_as_many_rows_as_its_time_allows(row_s: float) -> None:
    pace = BatchPace()
    for _ in range(12):
        pace.succeeded(pace.size * row_s)
    assert pace.size == pytest.approx(max(1, min(MAX_SIZE, STEP_S / row_s)), abs=1)


def test_a_step_that_does_not_end_in_time_is_tried_again_much_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "PASS_S", 0.0)
    sizes: list[int] = []

    def step(size: int) -> Done:
        sizes.append(size)
        if size > 20:
            raise StoreUnavailable("PostgreSQL did not answer within 10 s")
        return Done(size, more=True)

    each = Pass(step)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            each.run_step()
    assert each.run_step()
    assert sizes == [FIRST_SIZE, FIRST_SIZE // 10, FIRST_SIZE // 100]


def test_a_pass_that_finds_nothing_comes_less_and_less_often_until_it_finds_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    found = iter([0, 0, 0, 0, 7, 0])
    passes: list[float] = []

    def step(_size: int) -> Done:
        passes.append(clock)
        return Done(next(found), more=False)

    each = Pass(step, pause_s=5, longest_s=30)
    while len(passes) < 6:
        each.run_step()
        clock += 1.0
    assert [later - earlier for earlier, later in pairwise(passes)] == [10, 20, 30, 30, 5]
