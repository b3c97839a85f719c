"""A minute of the storm that `make chaos` raises for as long as you like, and the promise that its seed replays it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.kinds import KINDS
from tests.chaos.schedule import schedule
from tests.chaos.storm import rage

pytestmark = pytest.mark.fault

SEED = 6
MINUTES = 1.0
GAP_S = 4.0


@pytest.mark.timeout(600)
def test_a_minute_of_a_storm_loses_doubles_and_ends_twice_nothing(server_folder: Path) -> None:
    folder = server_folder / "storm"
    folder.mkdir(mode=0o711)
    score = rage(folder, schedule(SEED, MINUTES, GAP_S), MINUTES, SEED)
    assert score.problems == []
    assert score.injected > MINUTES * 60 / GAP_S / 2, score.skipped
    assert score.accepted > 50
    assert score.kinds_of_jobs["scheduled"] > MINUTES * 60, "two make a job each second"
    assert score.followed > 3


def test_a_seed_gives_the_same_faults_at_the_same_times_and_every_kind_comes() -> None:
    planned = schedule(SEED, 20, GAP_S)
    assert planned == schedule(SEED, 20, GAP_S)
    assert planned != schedule(SEED + 1, 20, GAP_S)
    assert Counter(plan.kind for plan in planned).keys() == KINDS.keys()
    assert len(KINDS) > 30
