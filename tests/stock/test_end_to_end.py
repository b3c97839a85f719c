"""Longrun on the PostgreSQL that people run: migrated, jobs run, are streamed and cancelled, on every flavour."""

from __future__ import annotations

import sys

import httpx
import pytest

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
    for _ in range(2):
        migration = stock.stack.start("migrations", MIGRATE, env)
        assert migration.wait() == 0, migration.log()
    api = stock.stack.api(env=env)
    stock.api.base_url = httpx.URL(api.url)
    worker = stock.stack.worker("worker", 2, env)
    done = [stock.submit(input={"n": n, "text": "ünï¢ødé \\ 'x' 😀"}, priority=n % 10) for n in range(30)]
    done += [stock.submit(delay_s=0.2), stock.submit("test_flaky", {"failures": 1})]
    done += [stock.submit(concurrency_key="one"), stock.submit(concurrency_key="one"), stock.submit(fairness_key="a")]
    followed = stock.submit("sleep", {"seconds": 1, "steps": 4})
    assert streamed(stock, followed) == list(range(1, stock.job(followed)["last_seq"] + 1))
    cancelled = stock.tick(60)
    stock.runs(cancelled)
    assert stock.api.delete(f"/tasks/{cancelled}").is_success
    stock.stopped(cancelled)
    stock.all_reach([*done, followed], "SUCCESS")
    for path in ("/tasks", "/tasks?status=SUCCESS", "/queues", "/workers", f"/tasks/{done[0]}", "/readyz"):
        assert stock.api.get(path).status_code == httpx.codes.OK, path
    assert stock.api.get(f"/tasks/{done[3]}").json()["result"]["text"] == "ünï¢ødé \\ 'x' 😀"
    check(stock, [*done, followed, cancelled])
    if "sslmode" in made.options:
        assert stock.sql(ENCRYPTED, made.role) == [{"bool_and": True}]
    worker.terminate()
    assert worker.wait() == 0
    for process in stock.stack.processes:
        assert "Traceback" not in process.log(), process.log()


def streamed(stock: Harness, job_id: str) -> list[int]:
    """The seqs of a job's stream, to its end."""
    seen = []
    with stock.api.stream("GET", f"/tasks/{job_id}/stream") as response:
        for line in response.iter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                seen.append(int(value))
    return seen


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
