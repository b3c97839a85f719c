"""Celery's pool, as Longrun's workers use it, with real children and the event loop of a Celery main process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kombu.asynchronous import Hub, set_event_loop

from jobcore.worker.pool import TaskPool
from tests.waiting import until

LONG_S = 600.0


class Pool:
    """A pool of two children and its event loop."""

    def __init__(self) -> None:
        self._hub = Hub()
        set_event_loop(self._hub)
        self.pool = TaskPool.Pool(2, synack=False, threads=False)
        self.pool.register_with_event_loop(self._hub)
        self._loop = self._hub.create_loop()

    def run(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """Have a child call this; where the number of the child, then what the function returned, will be."""
        seen: list[Any] = []
        self.pool.apply_async(
            function, args, accept_callback=lambda pid, _: seen.append(pid), callback=seen.append, correlation_id="-"
        )
        return seen

    @property
    def pids(self) -> set[int]:
        """The numbers of the children."""
        return {child.pid for child in self.pool._pool}

    def answer_of(self, function: Callable[[], Any]) -> Any:
        """What a child returns for this, and soon."""
        seen = self.run(function)
        self.turn_until(lambda: len(seen) == 2, "an idle child answers")
        return seen[1]

    def turn_until(self, condition: Callable[[], Any], what: str) -> None:
        """Turn the loop until the condition holds."""

        def holds() -> Any:
            next(self._loop)
            return condition()

        self._hub.call_repeatedly(0.01, lambda: None)
        until(holds, what=what)


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool()
    yield made
    made.pool.terminate()
    set_event_loop(None)


@pytest.mark.parametrize("flushes", [0, 1, 2])
def test_a_message_never_waits_behind_a_busy_child_while_another_idles(pool: Pool, flushes: int) -> None:
    """Celery flushes its pool whenever it lost the broker."""
    long = pool.run(time.sleep, LONG_S)
    pool.turn_until(lambda: long, "a child works")
    for _ in range(flushes):
        pool.pool.flush()
    for _ in range(4):
        assert pool.answer_of(os.getpid) != long[0]


def test_a_child_whose_busy_predecessor_died_during_a_flush_gets_messages(pool: Pool) -> None:
    long = [pool.run(time.sleep, LONG_S) for _ in range(2)]
    pool.turn_until(lambda: all(long), "both children work")
    pids = {seen[0] for seen in long}
    os.kill(min(pids), signal.SIGKILL)
    while pool.pids <= pids:
        pool.pool.flush()
    assert pool.answer_of(os.getpid) not in pids


def test_a_child_that_ended_before_the_broker_came_back_is_replaced(pool: Pool) -> None:
    child = pool.pool._pool[0]
    pool.pool._untrack_child_process(child, pool._hub)  # its end was seen, and the pool has not replaced it
    os.kill(child.pid, signal.SIGKILL)
    pool.pool._track_child_process(child, pool._hub)
    pool.turn_until(lambda: child.pid not in pool.pids and len(pool.pids) == 2, "another child takes its place")
    assert pool.answer_of(os.getpid) != child.pid
