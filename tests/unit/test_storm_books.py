"""The books of a storm tell schedules and runs that broke a promise from those that kept them all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.chaos.scheduled import TICK_DOUBLED, TICK_LOST, TOGETHER, problems
from tests.harness import Tick
from tests.invariants import THAWED_S, overlaps

START = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = {"overlap": "allow_all", "missed_runs": "run_all"}
ALONE = {"overlap": "skip", "missed_runs": "run_once"}
IN_TIME = {"overlap": "allow_all", "missed_runs": "skip"}


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def schedule(policy: dict[str, str], runs: int, skipped: int = 0, missed: int = 0) -> dict[str, Any]:
    """The row of a schedule that ticks each second."""
    return {"cron": "* * * * * *", "timezone": "UTC", "runs": runs, "skipped": skipped, "missed": missed, **policy}


def jobs(*ticks: int, runs_s: float = 0.5, together_at: int | None = None) -> list[dict[str, Any]]:
    """The jobs of the ticks so many seconds after the start, made in time or all together."""
    return [
        {
            "scheduled_for": at(tick),
            "created_at": at(tick if together_at is None else together_at),
            "made": at(tick),
            "ended": at(tick + runs_s),
        }
        for tick in ticks
    ]


@pytest.mark.parametrize(
    ("row", "made"),
    [
        (schedule(EVERY, 4), jobs(1, 2, 3, 4, runs_s=9)),
        (schedule(EVERY, 4), jobs(1, 2, 3, 4, together_at=90)),
        (schedule(ALONE, 2, skipped=3), jobs(1, 5, runs_s=3.5)),
        (schedule(IN_TIME, 2, missed=98), jobs(1, 100)),
    ],
)
def test_kept_promises_are_no_problem(row: dict[str, Any], made: list[dict[str, Any]]) -> None:
    assert problems(row, made) == []


@pytest.mark.parametrize(
    ("row", "made", "said"),
    [
        (schedule(EVERY, 4), jobs(1, 2, 2, 3), f"has 2 {TICK_DOUBLED} {at(2)}"),
        (schedule(EVERY, 3, missed=1), jobs(1, 2, 4), f"{TICK_LOST} {at(3)}"),
        (schedule(EVERY, 3), jobs(1, 2), "counts 3 runs and has 2 jobs"),
        (schedule(EVERY, 0), [], "made no jobs"),
        (schedule(ALONE, 2, skipped=1), jobs(1, 3, runs_s=2.1), f"has a job of {at(3)} that {TOGETHER}"),
        (schedule(ALONE, 2, skipped=2), jobs(1, 5), "counts 4 ticks, as run, skipped or missed, and had 5"),
        (schedule(IN_TIME, 2), jobs(1, 2, together_at=90), f"ran 2 missed ticks at {at(90)}"),
    ],
)
def test_a_broken_promise_is_the_one_problem_told(row: dict[str, Any], made: list[dict[str, Any]], said: str) -> None:
    assert problems(row, made) == [said]


def runs(*times: tuple[int, float]) -> list[Tick]:
    """Signs of life: of which run, when."""
    return [Tick(pid=fence, fence=fence, at=at) for fence, at in times]


@pytest.mark.parametrize("frozen", [False, True])
def test_two_runs_overlap_if_the_first_gives_a_sign_after_the_second_began(frozen: bool) -> None:
    thawed = {"thawed_at": 10.0} if frozen else {}
    assert overlaps(runs((1, 0), (1, 4), (2, 5), (2, 9)), **thawed) == []
    late = 10 + THAWED_S + 1
    assert len(overlaps(runs((1, 0), (1, late), (2, 5), (2, 20)), **thawed)) == 1


def test_a_host_that_was_frozen_as_a_whole_has_a_moment_after_its_thaw_to_end_what_it_runs() -> None:
    ticks = runs((1, 0), (2, 5), (1, 10 + THAWED_S / 2), (2, 20))
    assert overlaps(ticks, thawed_at=10) == []
    assert len(overlaps(ticks)) == 1
