"""The size of a step over a backlog: it fits into its time, whatever a row costs."""

from __future__ import annotations

import pytest

from jobcore.errors import StoreUnavailable
from jobcore.keeper import housekeeping
from jobcore.keeper.housekeeping import Done, Pass
from jobcore.keeper.pace import FIRST, MOST, STEP_S, Pace


@pytest.mark.parametrize("row_s", [1e-5, 1e-3, 0.05, 3.0])
def test_a_step_takes_as_many_rows_as_its_time_allows(row_s: float) -> None:
    pace = Pace()
    for _ in range(12):
        pace.took(pace.size * row_s)
    assert pace.size == pytest.approx(max(1, min(MOST, STEP_S / row_s)), abs=1)


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
            each.go_on()
    assert each.go_on()
    assert sizes == [FIRST, FIRST // 10, FIRST // 100]
