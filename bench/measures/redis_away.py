"""POST while Redis is stopped or frozen (SIGSTOP); then the time from its return until the jobs have ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from bench.client import Answer, post_one
from bench.figures import Row, milliseconds, percentile
from bench.scale import Scale
from bench.stage import Running, Stage, pid_of, say
from bench.systems import LITERAL, LONGRUN, System

POSTS = {LONGRUN: 50, LITERAL: 5}
"""A POST of literal can take seconds."""
PACE_S = 0.1
ANSWER_WITHIN_S = 10.0
FINISH_WITHIN_S = 60.0


@dataclass(frozen=True)
class Outage:
    """The answers without Redis, the seconds until every job was terminal, and how many jobs never were."""

    answers: list[Answer]
    finished_s: float
    left: int

    @property
    def cell(self) -> str:
        accepted = [answer.seconds for answer in self.answers if answer.status == 202]
        took = [answer.seconds for answer in self.answers]
        return f"{len(accepted)} of {len(took)} answered 202; {milliseconds(percentile(took, 50), max(took))}"

    @property
    def after(self) -> str:
        if self.left:
            return f"{self.left} jobs still not finished after {self.finished_s:.0f} s"
        return f"{self.finished_s:.1f} s"


def outage(stage: Stage, system: System, away: Callable[[], object], back: Callable[[], object]) -> Outage:
    """Post one job every 100 ms without Redis, then bring it back and wait for the jobs."""
    with stage.run(system) as running:
        away()
        try:
            answers = [_paced_post(running) for _ in range(POSTS[system])]
        finally:
            back()
        returned = time.monotonic()
        with suppress(TimeoutError):
            running.database.wait_until_finished(FINISH_WITHIN_S)
        result = Outage(answers, time.monotonic() - returned, running.database.unfinished())
    say(f"  POST: {result.cell}; jobs finished: {result.after}")
    return result


def _paced_post(running: Running) -> Answer:
    answer = post_one(running.port, timeout_s=ANSWER_WITHIN_S)
    time.sleep(max(0.0, PACE_S - answer.seconds))
    return answer


def measure(stage: Stage, scale: Scale) -> list[Row]:
    def freeze() -> None:
        os.kill(pid_of(stage.valkey), signal.SIGSTOP)

    def thaw() -> None:
        os.kill(pid_of(stage.valkey), signal.SIGCONT)

    rows = []
    for name, away, back in (
        ("stopped", stage.valkey.stop, stage.valkey.start),
        ("frozen", freeze, thaw),
    ):
        outages = {}
        for system in (LONGRUN, LITERAL):
            say(f"redis {name}: {system.name}, {POSTS[system]} POSTs")
            outages[system] = outage(stage, system, away, back)
        rows += [
            Row(
                what=f"POST with Redis {name}",
                longrun=outages[LONGRUN].cell,
                literal=outages[LITERAL].cell,
                note=f"p50 / max, one each {PACE_S * 1000:.0f} ms; no answer counts as {ANSWER_WITHIN_S:.0f} s",
            ),
            Row(
                what="  Redis back to all finished",
                longrun=outages[LONGRUN].after,
                literal=outages[LITERAL].after,
            ),
        ]
    return rows
