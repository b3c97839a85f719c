"""`submit` in an application's own transaction, on every flavour of the database and behind PgBouncer."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta, timezone
from typing import Any

import anyio
import pytest

from jobcore.store import task_types
from jobcore.store.database import Database
from jobcore.tasks import load_tasks
from longrun_client import InvalidSubmission
from tests.integration.app_sessions import APPS
from tests.servers import execute
from tests.stock.flavours import Made

WITHOUT_OPTIONS = ("psycopg2", "psycopg")
"""Sessions whose driver reads every form of URL."""


@pytest.fixture
def url(made: Made, env: dict[str, str]) -> str:
    """A migrated database in which an API has published its task types."""
    subprocess.run([sys.executable, "-m", "jobcore.migrations"], env={**os.environ, **env}, check=True)
    database = Database(made.admin_url, name="test")
    database.call(task_types.publish, load_tasks().all())
    database.close()
    return made.url


def stored(made: Made) -> list[Any]:
    return [str(job_id) for (job_id,) in execute(made.admin_url, "SELECT id FROM longrun.jobs ORDER BY id")]


def test_a_task_exists_if_and_only_if_its_transaction_commits(url: str, made: Made) -> None:
    async def run(name: str) -> list[str]:
        async with APPS[name](url) as app:
            await app.submit()
            await app.rollback()
        async with APPS[name](url) as app:
            task = await app.submit(delay_s=60, metadata={"n": 1e308})
            await app.run("SAVEPOINT before")
            with pytest.raises(InvalidSubmission, match=r"^expires_at: must be an RFC 3339 time with its offset"):
                await app.submit(expires_at="2026-11-24T12:00:00")
            await app.run("ROLLBACK TO SAVEPOINT before")
            with pytest.raises(InvalidSubmission, match=r"^input\.seconds: must be "):
                await app.submit("sleep", {"seconds": "soon"})
            await app.run("ROLLBACK TO SAVEPOINT before")
            later = await app.submit(
                run_at=(task.created_at + timedelta(days=1)).astimezone(timezone(timedelta(hours=5)))
            )
            await app.commit()
        return [task.task_id, later.task_id]

    expected: list[str] = []
    for name in APPS if made.pooled else WITHOUT_OPTIONS:
        expected += anyio.run(run, name)
        assert stored(made) == expected, name
