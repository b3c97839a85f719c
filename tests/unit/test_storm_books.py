"""The books of a storm tell schedules that broke a promise of docs/schedules.md from those that kept them all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.chaos.scheduled import TICK_DOUBLED, TICK_LOST, TOGETHER, problems

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
