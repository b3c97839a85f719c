"""Redis is connected and silent, or gone while a worker asks it for nothing: the worker hears of work again."""

from __future__ import annotations

from collections.abc import Callable

import psutil
import pytest
import redis

from tests.fault.link import Link
from tests.harness import Harness
from tests.invariants import check
from tests.processes import Process
from tests.thorough import cases
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.fault


def killed(link: Link, redis_url: str) -> None:
    """Redis closes every connection."""
    with redis.Redis.from_url(redis_url) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal")


def reset(link: Link, redis_url: str) -> None:
    """The network resets every connection of this worker."""
    link.cut()


@pytest.mark.parametrize("busy", cases([False, True]), ids=["idle", "busy"])
def test_a_worker_whose_connections_to_redis_pass_nothing_hears_of_work_again(apart: Harness, busy: bool) -> None:
    with Link(apart.stack.redis_url) as link:
        apart.worker("muted", concurrency=1, REDIS_URL=link.url)
        first = apart.tick(2 if busy else 0)
        if busy:
            apart.runs(first)
        else:
            apart.reaches(first, "SUCCESS")
        with link.muted():  # what is connected now hears nothing any more, ever
            apart.reaches(first, "SUCCESS")
            later = apart.submit()
            apart.reaches(later, "SUCCESS")
    check(apart, [first, later])


@pytest.mark.parametrize("lose", cases([killed, reset]))
def test_a_worker_with_no_idle_child_notices_that_its_connection_to_redis_is_lost(
    apart: Harness, redis_url: str, lose: Callable[[Link, str], None]
) -> None:
    with Link(apart.stack.redis_url) as link:
        worker = apart.worker("busy", concurrency=1, REDIS_URL=link.url)
        job_id = apart.tick(PATIENCE_S + 5)
        apart.runs(job_id)
        before = until(lambda: connections(worker, link), what="the main process is connected")
        lose(link, redis_url)
        until(lambda: connections(worker, link) - before, what="the main process is connected anew")
        assert not connections(worker, link) & before, "what was lost is closed"
        apart.api.delete(f"/tasks/{job_id}")
        apart.stopped(job_id)
        apart.reaches(apart.submit(), "SUCCESS")


def connections(worker: Process, link: Link) -> set[int]:
    """The local ports of the main process' connections through the link."""
    return {
        connection.laddr.port
        for connection in psutil.Process(worker.pid).net_connections("tcp")
        if connection.raddr and connection.raddr.port == link.port
    }
