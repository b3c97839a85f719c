"""The load of a storm: short, long, failing, retried, cancelled, deaf, delayed, overrunning, dying, expiring jobs."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.chaos.client import Client, Refused
from tests.chaos.deployment import QUEUE, Deployment

SUBMITTERS = 4
FOLLOWERS = 2
ENOUGH_OPEN = 80
"""Submitters pause while so many jobs wait or run: what is tested is faults, not a backlog."""
COUNT_S = 0.5
POLL_S = 0.05
PAUSE_S = 0.4
"""A submitter rests for up to so long between two jobs."""
FOLLOW_S = 90.0
Dice = random.Random


class Load:
    """Threads that submit, cancel and follow jobs from `start` to `stop`; the same mix for the same seed."""

    def __init__(self, deployment: Deployment, client: Client, seed: int) -> None:
        self._deployment = deployment
        self._client = client
        self._over = threading.Event()
        self._room = threading.Event()
        self._room.set()
        self._to_follow: deque[str] = deque(maxlen=FOLLOWERS)
        self.open = 0
        self.kinds: Counter[str] = Counter()
        self.followed = 0
        self.gaps: list[str] = []
        """Stories that a stream did not give whole and in order."""
        self.failures: list[str] = []
        self._threads = [
            threading.Thread(
                target=self._guarded, args=(work, random.Random(f"{seed} {name} {number}")), daemon=True, name=name
            )
            for name, work, count in (
                ("submitter", self._submit, SUBMITTERS),
                ("follower", self._follow, FOLLOWERS),
                ("counter", self._count, 1),
            )
            for number in range(count)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Submit no more, and wait for what is on its way."""
        self._over.set()
        self._room.set()
        for thread in self._threads:
            thread.join()

    def _guarded(self, work: Callable[[Dice], None], dice: Dice) -> None:
        try:
            while not self._over.is_set():
                work(dice)
        except Exception as error:
            self.failures.append(f"{threading.current_thread().name} ended: {error!r}")

    def _submit(self, dice: Dice) -> None:
        self._room.wait()
        kind, (make, _) = dice.choices(list(MIX.items()), [weight for _, weight in MIX.values()])[0]
        body = {"queue": QUEUE, "priority": dice.choice((0, 0, 0, 5)), **make(dice, self._deployment)}
        cancel_s, retry_s = body.pop("cancel_s", None), body.pop("retry_s", None)
        try:
            job_id = self._client.submit(body)
        except Refused:
            if kind not in MAY_BE_REFUSED:
                raise
            return
        self.kinds[kind] += 1
        self._to_follow.append(job_id)
        if cancel_s is not None:
            self._over.wait(cancel_s)
            self._client.cancel(job_id)
        if retry_s is not None:
            self._over.wait(retry_s)
            self._client.retry(job_id)
        self._over.wait(dice.uniform(0, PAUSE_S))

    def _follow(self, _dice: Dice) -> None:
        try:
            job_id = self._to_follow.pop()
        except IndexError:
            self._over.wait(POLL_S)
            return
        if seen := self._client.follow(job_id, time.monotonic() + FOLLOW_S):
            self.followed += 1
            if seen != list(range(1, len(seen) + 1)):
                self.gaps.append(f"{job_id}: {seen}")

    def _count(self, _dice: Dice) -> None:
        rows = self._deployment.sql("SELECT count(*) FROM jobs WHERE status IN ('PENDING', 'RUNNING')")
        self.open = rows[0]["count"]
        (self._room.set if self.open < ENOUGH_OPEN else self._room.clear)()
        self._over.wait(COUNT_S)


def tick(task_type: str, seconds: float, deployment: Deployment, **options: Any) -> dict[str, Any]:
    """A task that writes signs of life into its diary for so many seconds."""
    return {"task_type": task_type, "input": {"seconds": seconds, "folder": str(deployment.diaries)}, **options}


def _expiring(dice: Dice, deployment: Deployment) -> dict[str, Any]:
    delay_s = dice.uniform(1, 3)
    expires_at = datetime.now(UTC) + timedelta(seconds=delay_s + dice.uniform(0.3, 1))
    return tick("test_tick", 0.05, deployment, delay_s=delay_s, expires_at=expires_at.isoformat())


def _limited(dice: Dice, deployment: Deployment) -> dict[str, Any]:
    return tick("test_tick", dice.uniform(0, 0.3), deployment, concurrency_key=f"key-{dice.randrange(3)}")


def _stepping(dice: Dice, deployment: Deployment) -> dict[str, Any]:
    return {"task_type": "test_steps", "input": {"folder": str(deployment.diaries), "dies_after": dice.randrange(5)}}


def _starting(dice: Dice, deployment: Deployment) -> dict[str, Any]:
    task = tick(f"test_start_{dice.choice(('process', 'async', 'thread'))}", dice.uniform(0.1, 1), deployment)
    task["input"]["ending"] = dice.choice(("leave", "leave", "raise", "die"))
    return task


def _versioned(dice: Dice, deployment: Deployment) -> dict[str, Any]:
    added = {f"field_{deployment.version}": 1} if deployment.version > 1 and dice.randrange(2) else {}
    return {"task_type": "test_versioned", "input": {"number": dice.randrange(100), **added}}


def _newest(dice: Dice, deployment: Deployment) -> dict[str, Any]:
    return {"task_type": f"test_of_version_{max(deployment.version, 2)}", "input": {"number": dice.randrange(100)}}


MAY_BE_REFUSED = {"expiring", "versioned", "newest"}
"""Its time may pass before an API is there to accept it, or an API of an older version is asked."""
MIX: dict[str, tuple[Callable[[Dice, Deployment], dict[str, Any]], float]] = {
    "short": (lambda dice, deployment: tick("test_tick", dice.uniform(0, 0.1), deployment), 30),
    "quick": (lambda dice, _: {"task_type": "echo", "input": {"text": "x" * dice.randrange(5000)}}, 30),
    "medium": (lambda dice, deployment: tick("test_tick", dice.uniform(0.5, 1.5), deployment, max_attempts=3), 8),
    "long": (lambda dice, deployment: tick("test_polite", dice.uniform(3, 8), deployment, max_attempts=3), 3),
    "retried": (lambda _dice, _deployment: {"task_type": "test_flaky", "input": {"failures": 2}}, 6),
    "failing": (lambda _dice, _deployment: {"task_type": "test_flaky", "input": {"failures": 9}}, 4),
    "cancelled": (lambda dice, deployment: tick("test_polite", 30, deployment, cancel_s=dice.uniform(0, 2)), 5),
    "deaf": (lambda dice, deployment: tick("test_tick", 30, deployment, cancel_s=dice.uniform(0, 1)), 2),
    "stubborn": (lambda dice, deployment: tick("test_stubborn", 30, deployment, cancel_s=dice.uniform(0, 1)), 1),
    "delayed": (lambda dice, deployment: tick("test_tick", 0.05, deployment, delay_s=dice.uniform(0.5, 8)), 6),
    "overrunning": (lambda dice, deployment: tick("test_tick", 30, deployment, timeout_s=dice.uniform(0.3, 1)), 2),
    "dying": (lambda dice, _: {"task_type": "test_poison", "input": {"deaths": dice.choice((1, 1, 99))}}, 1),
    "expiring": (_expiring, 2),
    "limited": (_limited, 6),
    "async": (lambda dice, deployment: tick("test_tick_async", dice.uniform(0, 2), deployment, max_attempts=3), 15),
    "thread": (lambda dice, deployment: tick("test_tick_thread", dice.uniform(0, 2), deployment, max_attempts=3), 15),
    "waiting": (lambda dice, deployment: tick("test_tick_async", dice.uniform(3, 8), deployment, max_attempts=3), 6),
    "cancelled_async": (
        lambda dice, deployment: tick("test_tick_async", 30, deployment, cancel_s=dice.uniform(0, 2)),
        3,
    ),
    "cancelled_thread": (
        lambda dice, deployment: tick("test_tick_thread", 30, deployment, cancel_s=dice.uniform(0, 2)),
        3,
    ),
    "overrunning_async": (
        lambda dice, deployment: tick("test_tick_async", 30, deployment, timeout_s=dice.uniform(0.3, 1)),
        2,
    ),
    "overrunning_thread": (
        lambda dice, deployment: tick("test_tick_thread", 30, deployment, timeout_s=dice.uniform(0.3, 1)),
        1,
    ),
    "starting": (_starting, 4),
    "revived": (lambda _dice, _deployment: {"task_type": "test_flaky", "input": {"failures": 3}, "retry_s": 1.5}, 3),
    "stepping": (_stepping, 3),
    "versioned": (_versioned, 6),
    "newest": (_newest, 2),
}
"""What a job of each kind looks like, and how often it comes."""
