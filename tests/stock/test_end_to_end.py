"""Longrun on the PostgreSQL that people run: migrated, jobs run, are streamed and cancelled, on every flavour."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

import httpx
import pytest

from longrun_client import Longrun
from tests.harness import Harness
from tests.invariants import check
from tests.servers import execute
from tests.stock.flavours import Made
from tests.waiting import until

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]
MIGRATE = [sys.executable, "-m", "jobcore.migrations"]
ENCRYPTED = """
SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
WHERE usename = %s AND application_name LIKE 'longrun%%'
"""


def test_jobs_are_accepted_run_streamed_and_cancelled(stock: Harness, made: Made, env: dict[str, str]) -> None:
    """The client asks again where a busy machine with such settings makes a statement late."""
    for _ in range(2):
        migration = stock.stack.start("migrations", MIGRATE, env)
        assert migration.wait() == 0, migration.log()
    api = stock.stack.api(env=env)
    worker = stock.stack.worker("worker", 2, env)
    with Longrun(api.url) as client:

        def submit(task_type: str = "echo", input: Mapping[str, Any] | None = None, **options: Any) -> str:
            return client.submit(task_type, input or {}, queue=stock.queue, **options).task_id

        done = [submit(input={"n": n, "text": "ünï¢ødé \\ 'x' 😀"}, priority=n % 10) for n in range(30)]
        done += [submit(delay_s=0.2), submit("test_flaky", {"failures": 1})]
        done += [submit(concurrency_key="one"), submit(concurrency_key="one"), submit(fairness_key="a")]
        followed = submit("sleep", {"seconds": 1, "steps": 4})
        seqs = [event.seq for event in client.stream(followed) if event.seq is not None]
        assert seqs == list(range(1, stock.job(followed)["last_seq"] + 1))
        cancelled = submit("test_tick", {"seconds": 60, "folder": str(stock.folder)})
        stock.runs(cancelled)
        client.cancel(cancelled)
        stock.stopped(cancelled)
        stock.all_reach([*done, followed], "SUCCESS")
        assert client.get(done[3]).result["text"] == "ünï¢ødé \\ 'x' 😀"
    for path in ("/tasks", "/tasks?status=SUCCESS", "/queues", "/workers", f"/tasks/{done[0]}", "/readyz"):
        until(partial(answers, api.url + path), what=f"{path} answers")
    check(stock, [*done, followed, cancelled])
    if "sslmode" in made.options:
        assert stock.sql(ENCRYPTED, made.role) == [{"bool_and": True}]
    worker.terminate()
    assert worker.wait() == 0
    for process in stock.stack.processes:
        assert "Traceback" not in process.log(), process.log()


def answers(url: str) -> bool:
    """Whether it answers with success now."""
    return httpx.get(url, timeout=30).is_success


@pytest.mark.parametrize("made", ["beside_another_application"], indirect=True)
def test_what_another_application_keeps_in_the_database_stays_as_it_is(
    stock: Harness, made: Made, env: dict[str, str]
) -> None:
    before = execute(
        made.admin_url, "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    )
    assert stock.stack.start("migrations", MIGRATE, env).wait() == 0
    after = execute(made.admin_url, "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace")
    assert after == before
    assert execute(made.admin_url, "SELECT version_num FROM public.alembic_version") == [("0005",)]


@pytest.mark.parametrize("made", ["owner"], indirect=True)
def test_no_statement_of_longrun_is_compiled(stock: Harness, made: Made, env: dict[str, str]) -> None:
    """With the package's defaults PostgreSQL compiles what it thinks dear, for longer than it then runs.

    Here it thinks so of whatever reads a table; what SQLAlchemy asks of a new connection costs 0.01.
    """
    execute(made.admin_url, f"ALTER ROLE {made.role} SET jit_above_cost = 0.1")
    assert stock.stack.start("migrations", MIGRATE, env).wait() == 0
    api = stock.stack.api(env=env)
    stock.api.base_url = httpx.URL(api.url)
    stock.submit()
    backends = "SELECT pid FROM pg_stat_activity WHERE usename = %s"
    until(lambda: stock.sql(backends, made.role), what="the API is connected")
    for row in stock.sql(backends, made.role):
        with open(f"/proc/{row['pid']}/maps") as maps:
            assert "llvmjit" not in maps.read()
