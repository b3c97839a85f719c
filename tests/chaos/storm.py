"""A storm: faults by schedule over a load, then calm, then the books are read."""

from __future__ import annotations

import math
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from pathlib import Path

from jobcore.states import TERMINAL
from tests.chaos import (  # noqa: F401  (they register)
    host_faults,
    lane_faults,
    network_faults,
    operator_faults,
    postgres_faults,
    process_faults,
    redis_faults,
    schema_faults,
)
from tests.chaos.capacity import every_child_works, every_place_works
from tests.chaos.client import Client
from tests.chaos.deployment import QUEUE, Deployment
from tests.chaos.deploys import ROLLING, refused_for_good
from tests.chaos.kinds import KINDS, Strike, fault
from tests.chaos.load import Load
from tests.chaos.neighbour import not_run
from tests.chaos.orphans import Orphans
from tests.chaos.schedule import Planned
from tests.chaos.scheduled import KIND, Schedules
from tests.chaos.score import Score
from tests.fault.diary import STARTED
from tests.harness import Tick
from tests.invariants import THAWED_S, broken_promises, overlaps
from tests.waiting import until

POLL_S = 0.1
RECOVERY_S = 120.0
SLOW_S = 15.0
CALM_S = 180.0
CHUNK = 1000


@fault((ROLLING,))
def nothing(_strike: Strike) -> None:
    """The control: no fault, measured all the same."""


class Storm:
    """Runs one schedule on a deployment. `say` gets a line of progress every second."""

    def __init__(
        self, deployment: Deployment, planned: Sequence[Planned], score: Score, say: Callable[[str], None]
    ) -> None:
        self._deployment = deployment
        self._planned = planned
        self._score = score
        self._say = say
        self._client = Client(deployment)
        self._load = Load(deployment, self._client, score.seed)
        self._schedules = Schedules(deployment, self._client)
        self._orphans = Orphans(deployment)
        self._threads: list[threading.Thread] = []

    def run(self) -> None:
        """Rage until the schedule and the load's time are over, calm down, read the books."""
        began = time.monotonic()
        self._load.start()
        self._schedules.start()
        self._orphans.start()
        for plan in self._planned:
            self._wait_until(began + plan.at_s, plan)
            thread = threading.Thread(target=self._strike, args=(plan,), name=plan.kind, daemon=True)
            thread.start()
            self._threads.append(thread)
        self._wait_until(began + self._score.minutes * 60, None)
        self._load.stop()
        self._schedules.stop()
        for thread in self._threads:
            thread.join()
        self._calm_down()
        self._try_every_child()
        self._read_the_books()

    def _wait_until(self, moment: float, plan: Planned | None) -> None:
        while (left := moment - time.monotonic()) > 0:
            self._say(
                f"{self._score.injected:4} faults, {len(self._client.accepted):6} accepted, {self._load.open:4} open, "
                f"{len(self._score.problems)} problems; next {plan or 'is calm'}"
            )
            time.sleep(min(left, 1.0))

    def _strike(self, plan: Planned) -> None:
        strike = Strike(self._deployment, plan.target, plan.seconds, plan.seed)
        try:
            with self._deployment.locks[plan.target]:
                hit = self._deployment.running()
                KINDS[plan.kind].strike(strike)
                over = time.monotonic()
            self._await_recovery(plan, hit, over)
        except Exception as error:
            self._score.skipped.append(f"{plan}: {error!r}")
        else:
            self._score.recovered(plan.kind, time.monotonic() - over)

    def _await_recovery(self, plan: Planned, hit: dict[str, int], over: float) -> None:
        probe = self._client.submit({"task_type": "echo", "input": {}, "queue": QUEUE, "priority": 9})
        if time.monotonic() > over + SLOW_S:
            self._score.slow.append(f"{plan}: a job was accepted only after {time.monotonic() - over:.1f} s")
        waiting, slow = {**hit, probe: -1}, list[Planned]()
        while waiting:
            if time.monotonic() > over + RECOVERY_S:
                self._score.problem(f"{plan}: {sorted(waiting)} did not recover within {RECOVERY_S:g} s")
                return
            if time.monotonic() > over + SLOW_S and plan not in slow:
                slow.append(plan)
                self._score.slow.append(f"{plan}: after {SLOW_S:g} s waits for {self._told(waiting)}")
            time.sleep(POLL_S)
            rows = self._deployment.sql("SELECT id, status, fence FROM jobs WHERE id = ANY(%s::uuid[])", list(waiting))
            for row in rows:
                job_id = str(row["id"])
                elsewhere = job_id != probe and (row["status"] != "RUNNING" or row["fence"] > waiting[job_id])
                if row["status"] in TERMINAL or elsewhere or self._lives(job_id, over):
                    del waiting[job_id]

    def _told(self, waiting: Collection[str]) -> str:
        rows = self._deployment.sql(
            "SELECT id, task_type, status, ready, fence, worker_id FROM jobs WHERE id = ANY(%s::uuid[])", list(waiting)
        )
        return ", ".join(str(dict(row)) for row in rows[:3])

    def _lives(self, job_id: str, since: float) -> bool:
        """Whether a run of this job gave a sign of life after `since`."""
        diary = self._deployment.diary(job_id)
        return diary.exists() and Tick.of(diary.read_text().splitlines()[-1]).at > since

    def _calm_down(self) -> None:
        until(self._deployment.all_up, CALM_S, "every process is up again")
        self._await_ends()

    def _try_every_child(self) -> None:
        for each, what in ((every_child_works, "child"), (every_place_works, "place")):
            self._say(f"calm: every {what} gets a long job")
            try:
                each(self._deployment, self._client)
            except AssertionError as error:
                self._score.problem(f"after the storm: {error}")
            self._await_ends()

    def _await_ends(self) -> None:
        def none_open() -> bool:
            rows = self._deployment.sql(
                "SELECT count(*) FROM jobs WHERE status IN ('PENDING', 'RUNNING') "
                "OR (status = 'CANCELLED' AND cancel_stopped_at IS NULL)"
            )
            self._say(f"calm: {rows[0]['count']} jobs are open")
            time.sleep(POLL_S)
            return bool(rows[0]["count"] == 0)

        try:
            until(none_open, CALM_S, "every job has ended")
        except AssertionError as error:
            self._score.problem(f"after the storm: {error}")

    def _read_the_books(self) -> None:
        score, sql = self._score, self._deployment.sql
        stored = [str(row["id"]) for row in sql("SELECT id FROM jobs")]
        accepted = list(self._client.accepted)
        everyone = sorted({*accepted, *stored})
        for start in range(0, len(everyone), CHUNK):
            for problem in broken_promises(sql, everyone[start : start + CHUNK]):
                score.problem(problem)
        for diary in self._deployment.diaries.iterdir():
            if not diary.suffix:
                for problem in overlaps(ticks_of(diary), self._deployment.thawed_at.get(diary.name, -math.inf)):
                    score.problem(f"{diary.name}: {problem}")
        for problem in self._orphans.stop():
            score.problem(problem)
        for problem in (*self._together(), *refused_for_good(self._deployment), *not_run(self._deployment)):
            score.problem(problem)
        for problem in (*self._schedules.problems(), *self._load.gaps, *self._load.failures, *self._client.errors):
            score.problem(problem)
        scheduled = self._schedules.jobs()
        score.accepted, score.stored = len(accepted) + scheduled, len(stored)
        score.kinds_of_jobs = {**self._load.kinds, KIND: scheduled}
        score.followed = self._load.followed
        score.statuses = {
            row["status"]: row["count"] for row in sql("SELECT status, count(*) FROM jobs GROUP BY status")
        }
        score.servers = self._deployment.servers()
        score.runs = int(sql("SELECT sum(fence) AS runs FROM jobs")[0]["runs"])

    def _together(self) -> list[str]:
        """Runs of two jobs with one concurrency key at the same time."""
        runs: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
        for row in self._deployment.sql("SELECT id, concurrency_key FROM jobs WHERE concurrency_key IS NOT NULL"):
            diary = self._deployment.diary(str(row["id"]))
            if not diary.exists():
                continue
            thawed_at = self._deployment.thawed_at.get(diary.name, -math.inf)
            ticks = [Tick.of(line) for line in diary.read_text().splitlines()]
            for fence in {tick.fence for tick in ticks}:
                times = [tick.at for tick in ticks if tick.fence == fence]
                if max(times) <= thawed_at + THAWED_S:
                    continue  # its lease may have ended while its host could not end it
                runs[row["concurrency_key"]].append((min(times), max(times), f"{diary.name} run {fence}"))
        return [
            f"{key}: {later} began {end - begin:.3f} s before {earlier} ended"
            for key, of_key in runs.items()
            for (_, end, earlier), (begin, _, later) in pairwise(sorted(of_key))
            if begin <= end
        ]


def ticks_of(diary: Path) -> list[Tick]:
    """The signs of life of a job, and of the processes that its runs started."""
    diaries = [each for each in (diary, diary.with_name(diary.name + STARTED)) if each.exists()]
    return [Tick.of(line) for each in diaries for line in each.read_text().splitlines()]


def rage(
    folder: Path, planned: Sequence[Planned], minutes: float, seed: int, say: Callable[[str], None] = lambda _: None
) -> Score:
    """One storm from the first process to the last; its score."""
    score = Score(minutes, seed)
    with Deployment(folder) as deployment:
        Storm(deployment, planned, score, say).run()
    return score


def new_seed() -> int:
    """A seed for a storm that nobody asked for in particular."""
    return random.SystemRandom().randrange(1_000_000)
