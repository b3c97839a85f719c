"""How long an error that nobody foresaw is borne."""

from __future__ import annotations

import pytest

from jobcore.host import clock
from jobcore.host.patience import Patience

MOST_S = 10.0


@pytest.mark.parametrize(
    ("at", "borne"),
    [
        ([0, 1, 9, 10], [True, True, True, True]),
        ([0, 4, 8, 11, 12], [True, True, True, False, False]),
        ([0, 11, 22], [True, True, True]),
        ([0, 9, 20, 29, 31], [True, True, True, True, False]),
    ],
    ids=["not for long", "for too long", "now and then", "for too long after a pause"],
)
def test_errors_are_borne_until_they_come_for_too_long(
    monkeypatch: pytest.MonkeyPatch, at: list[float], borne: list[bool]
) -> None:
    moments = iter(at)
    monkeypatch.setattr(clock, "now", lambda: next(moments))
    patience = Patience("a test", MOST_S)
    assert [patience.bears(OSError("again")) for _ in at] == borne
