"""Tasks of applications' own transactions: whatever the application does, exactly the committed ones run."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from longrun_client import Longrun, Status, submit
from tests.backends import end_backends
from tests.harness import Harness
from tests.invariants import check
from tests.waiting import until

pytestmark = pytest.mark.fault

TRANSACTIONS = 100
LONGEST_S = 2.0
NAME = f"inside-{uuid4()}"
DIES = """
import sys, psycopg
from longrun_client import submit
connection = psycopg.connect(sys.argv[1], application_name=sys.argv[2])
print(submit("echo", {}, session=connection, queue=sys.argv[3]).task_id, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def app(longrun: Harness) -> Iterator[psycopg.Connection]:
    """A connection of an application, to a database in which the API has published its task types."""
    until(
        lambda: longrun.sql("SELECT name FROM task_types WHERE name = 'test_tick'"), what="the task types are published"
    )
    connection = psycopg.connect(longrun.stack.database_url, application_name=NAME)
    yield connection
    connection.close()


def test_a_committed_task_is_found_at_once_woken_and_followed_over_http(
    longrun: Harness, app: psycopg.Connection
) -> None:
    task = submit("sleep", {"seconds": 0.1, "steps": 2}, session=app, queue=longrun.queue)
    assert longrun.api.get(f"/tasks/{task.task_id}").status_code == httpx.codes.NOT_FOUND
    app.commit()
    assert longrun.api.get(f"/tasks/{task.task_id}").status_code == httpx.codes.OK
    with Longrun(str(longrun.api.base_url)) as client:
        events = list(client.stream(task.task_id))
        assert client.wait(task.task_id, timeout_s=30).status is Status.SUCCESS
    assert [event.data["status"] for event in events if event.kind == "state"] == ["PENDING", "RUNNING", "SUCCESS"]
    check(longrun, [task.task_id])


def test_a_committed_task_can_be_cancelled_before_it_is_promoted(longrun: Harness, app: psycopg.Connection) -> None:
    task = submit("echo", {}, session=app, queue=longrun.queue)
    app.commit()
    assert longrun.api.delete(f"/tasks/{task.task_id}").is_success
    assert longrun.job(task.task_id)["status"] in ("CANCELLED", "SUCCESS")
    check(longrun, [task.task_id])


def test_of_many_transactions_at_once_exactly_the_committed_tasks_run_each_once(
    longrun: Harness, app: psycopg.Connection
) -> None:
    """Each takes a random time and ends in a random way, among posts with the same keys."""
    lottery = random.Random()

    def transact(_number: int) -> tuple[str, bool]:
        options: dict[str, Any] = {
            "fairness_key": lottery.choice([None, "a", "b"]),
            "concurrency_key": lottery.choice([None, None, "one"]),
            "priority": lottery.randrange(10),
        }
        fields = {"seconds": 0.01, "folder": str(longrun.folder)}
        with psycopg.connect(longrun.stack.database_url) as connection:
            task = submit("test_tick", fields, session=connection, queue=longrun.queue, **options)
            connection.execute("SELECT pg_sleep(%s)", [lottery.random() * LONGEST_S])
            how = lottery.choice(["commit", "commit", "rollback", "error", "close"])
            if how == "commit":
                connection.commit()
            elif how == "rollback":
                connection.rollback()
            elif how == "error":
                with pytest.raises(psycopg.errors.DivisionByZero):
                    connection.execute("SELECT 1 / 0")
                connection.rollback()
            else:
                connection.close()
        return task.task_id, how == "commit"

    with ThreadPoolExecutor(TRANSACTIONS) as pool:
        running = [pool.submit(transact, number) for number in range(TRANSACTIONS)]
        posted = [longrun.tick(0.01, fairness_key="a", priority=number % 10) for number in range(20)]
        ends = dict(future.result() for future in running)
    committed = [task_id for task_id, commits in ends.items() if commits]
    assert 0 < len(committed) < TRANSACTIONS
    longrun.all_reach([*committed, *posted], "SUCCESS")
    stored = longrun.sql("SELECT CAST(id AS text) FROM jobs WHERE id = ANY(%s::uuid[])", list(ends))
    assert {row["id"] for row in stored} == set(committed)
    assert all({tick.fence for tick in longrun.ticks(task_id)} == {1} for task_id in committed)
    check(longrun, [*committed, *posted])


@pytest.mark.usefixtures("app")
def test_an_application_that_dies_in_its_transaction_leaves_nothing(longrun: Harness) -> None:
    name = f"dies-{uuid4()}"
    command = [sys.executable, "-c", textwrap.dedent(DIES), longrun.stack.database_url, name, longrun.queue]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as application:
        assert application.stdout is not None
        task_id = application.stdout.readline().strip()
        application.kill()
    sessions = "SELECT pid FROM pg_stat_activity WHERE application_name = %s"
    until(lambda: not longrun.sql(sessions, name), what="its session ends")
    assert longrun.sql("SELECT id FROM jobs WHERE id = %s", task_id) == []


def test_a_connection_that_breaks_before_the_commit_leaves_nothing(longrun: Harness, app: psycopg.Connection) -> None:
    task = submit("echo", {}, session=app, queue=longrun.queue)
    assert end_backends(longrun.stack.database_url, NAME) == 1
    with pytest.raises(psycopg.OperationalError):
        app.commit()
    assert longrun.sql("SELECT id FROM jobs WHERE id = %s", task.task_id) == []
