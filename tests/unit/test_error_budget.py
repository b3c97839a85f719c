"""An error budget allows unexpected errors for a while, and not for ever."""

from __future__ import annotations

import pytest

from jobcore.host import clock
from jobcore.host.error_budget import ErrorBudget

MOST_S = 10.0


@pytest.mark.parametrize(
    ("at", "allowed"),
    [
        ([0, 1, 9, 10], [True, True, True, True]),
        ([0, 4, 8, 11, 12], [True, True, True, False, False]),
        ([0, 11, 22], [True, True, True]),
        ([0, 9, 20, 29, 31], [True, True, True, True, False]),
    ],
    ids=["not for long", "for too long", "now and then", "for too long after a pause"],
)
def test_errors_are_borne_until_they_come_for_too_long(
    monkeypatch: pytest.MonkeyPatch, at: list[float], allowed: list[bool]
) -> None:
    moments = iter(at)
    monkeypatch.setattr(clock, "now", lambda: next(moments))
    budget = ErrorBudget("a test", MOST_S)
    assert [budget.allows(OSError("again")) for _ in at] == allowed
