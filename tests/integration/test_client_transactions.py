"""`submit` in the application's own transaction, with each kind of session, on a real PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import asyncpg
import psycopg
import psycopg2
import pytest
from pydantic import BaseModel, Field
from sqlalchemy import create_engine
from uuid_utils.compat import uuid7

from jobcore.store import input_files, task_types
from jobcore.store.database import Database
from jobcore.tasks import load_tasks
from longrun_client import InvalidSubmission, NoTransaction, Status, SubmitNotAvailable, UploadedFile, submit
from tests.integration.app_sessions import APPS, App
from tests.servers import execute
from tests.waiting import until

Open = Callable[[str], AbstractAsyncContextManager[App]]
ORDER = "INSERT INTO orders VALUES (1)"


@pytest.fixture
def url(database_url: str) -> str:
    """A database with the tables of Longrun and of an application, in which an API has published its task types."""
    database = Database(database_url, name="test")
    database.call(task_types.publish, load_tasks().all())
    database.close()
    execute(database_url, "CREATE TABLE public.orders (id integer PRIMARY KEY)")
    return database_url.partition("?")[0]


@pytest.fixture(params=APPS)
def opened(request: pytest.FixtureRequest) -> Open:
    return APPS[request.param]


def stored(url: str) -> tuple[list[Any], list[Any]]:
    """The orders of the application, and the jobs of Longrun, that are committed."""
    orders = [number for (number,) in execute(url, "SELECT id FROM public.orders")]
    return orders, [str(job_id) for (job_id,) in execute(url, "SELECT id FROM longrun.jobs ORDER BY id")]


def test_a_task_exists_once_the_transaction_has_committed_and_not_before(url: str, opened: Open) -> None:
    async def run() -> None:
        async with opened(url) as app:
            await app.run(ORDER)
            task = await app.submit("echo", {"order": 1}, tags=["a"], priority=3, delay_s=5)
            assert task.status is Status.PENDING
            assert stored(url) == ([], [])
            await app.commit()
            assert stored(url) == ([1], [task.task_id])

    anyio.run(run)
    [row] = execute(url, "SELECT task_type, input, tags, priority, queue FROM longrun.jobs")
    assert row == ("echo", {"order": 1}, ["a"], 3, "default")


def test_a_rollback_leaves_nothing(url: str, opened: Open) -> None:
    async def run() -> None:
        async with opened(url) as app:
            await app.run(ORDER)
            await app.submit()
            await app.rollback()

    anyio.run(run)
    assert stored(url) == ([], [])
    assert execute(url, "SELECT count(*) FROM longrun.job_events") == [(0,)]


def test_a_refused_submission_names_the_field_and_a_savepoint_saves_the_rest(url: str, opened: Open) -> None:
    async def run() -> None:
        async with opened(url) as app:
            await app.run(ORDER)
            await app.run("SAVEPOINT before")
            with pytest.raises(InvalidSubmission, match=r"^priority: must be 0 to 9$") as refused:
                await app.submit(priority=10)
            assert [(error.field, error.message) for error in refused.value.errors] == [("priority", "must be 0 to 9")]
            await app.run("ROLLBACK TO SAVEPOINT before")
            await app.submit()
            await app.run("ROLLBACK TO SAVEPOINT before")
            task = await app.submit()
            await app.commit()
            assert stored(url) == ([1], [task.task_id])

    anyio.run(run)


def test_what_json_cannot_express_is_refused_before_the_transaction_is_touched(url: str, opened: Open) -> None:
    async def run() -> None:
        async with opened(url) as app:
            await app.run(ORDER)
            for field, options in {
                "input": {"input": {"at": object()}},
                "metadata": {"metadata": {"x": float("nan")}},
                "dedupe_key": {"dedupe_key": "\ud800"},
            }.items():
                with pytest.raises(InvalidSubmission, match=f"^{field}: "):
                    await app.submit(**options)  # type: ignore[arg-type]
            await app.commit()
            assert stored(url) == ([1], [])

    anyio.run(run)


def staged(url: str, owner: str | None = None, keep_s: float = 600) -> UploadedFile:
    """A file that waits for a submission, as `upload` of a client returns it."""
    database = Database(url, name="test")
    file_id = uuid7()
    database.call(input_files.begin, file_id, owner, "text/plain", keep_s)
    file = database.call(input_files.finish, file_id, size=2, sha256="00" * 32, keep_s=keep_s)
    database.close()
    assert file is not None
    return UploadedFile(
        file_id=str(file_id), size=2, media_type="text/plain", sha256=file.sha256, created_at=file.stored_at,
        expires_at=file.expires_at,
    )  # fmt: skip


def test_a_task_has_its_files_if_and_only_if_the_transaction_commits(url: str) -> None:
    engine, file = create_engine(url), staged(url)
    with engine.connect() as session:
        submit("echo", {}, session=session, files={"notes": file})
    with engine.begin() as session:
        with pytest.raises(InvalidSubmission, match=r"^files\.notes: a transaction uploads no files"):
            submit("echo", {}, session=session, files={"notes": "notes.txt"})  # type: ignore[dict-item]
        task = submit("echo", {}, session=session, files={"notes": file})
        of_owner = submit("echo", {}, session=session, files={"a": staged(url, "ada")}, owner="ada")
    rows = execute(url, "SELECT job_id, name FROM longrun.input_files WHERE name IS NOT NULL ORDER BY name")
    assert rows == [(of_owner.task_id, "a"), (task.task_id, "notes")]
    for other, owner in ((file, None), (staged(url, "ada"), "grace")):
        with pytest.raises(InvalidSubmission, match=r"^files\.a: no file with the id"), engine.begin() as session:
            submit("echo", {}, session=session, files={"a": other}, owner=owner)
    engine.dispose()


def test_the_keeper_waits_for_no_transaction_that_has_named_a_file(url: str) -> None:
    held = staged(url, keep_s=1)
    late = staged(url, keep_s=1)
    engine, database = create_engine(url), Database(url, name="test")
    with engine.begin() as session:
        task = submit("echo", {}, session=session, files={"held": held})
        until(lambda: database.call(input_files.expire) == 1)
    assert database.call(input_files.expire) == 0
    database.close()
    engine.dispose()
    rows = execute(url, "SELECT id, job_id, delete_at IS NULL FROM longrun.input_files ORDER BY created_at")
    assert rows == [(held.file_id, task.task_id, True), (late.file_id, None, False)]


class Seconds(BaseModel):
    how_long: float = Field(alias="seconds", gt=0)


def test_an_input_may_be_a_model(url: str) -> None:
    with psycopg.connect(url) as connection:
        task = submit("sleep", Seconds(seconds=2), session=connection)
    assert execute(url, "SELECT CAST(id AS text), input FROM longrun.jobs") == [(task.task_id, {"seconds": 2.0})]


async def _autocommit_asyncpg(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await submit("echo", {}, session=connection)
    finally:
        await connection.close()


async def _autocommit_async_psycopg(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await submit("echo", {}, session=connection)


async def _autocommit_psycopg(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        submit("echo", {}, session=connection)


async def _autocommit_psycopg2(url: str) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        submit("echo", {}, session=connection)
    finally:
        connection.close()


async def _autocommit_sqlalchemy(url: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        submit("echo", {}, session=connection)


@pytest.mark.parametrize(
    "attempt",
    [
        _autocommit_asyncpg, _autocommit_async_psycopg, _autocommit_psycopg, _autocommit_psycopg2,
        _autocommit_sqlalchemy,
    ],
)  # fmt: skip
def test_a_session_without_a_transaction_is_refused_and_nothing_is_stored(url: str, attempt: Any) -> None:
    with pytest.raises(NoTransaction, match=r"^session: it commits each statement by itself"):
        anyio.run(attempt, url)
    assert stored(url) == ([], [])


def test_a_transaction_of_an_autocommit_connection_is_one(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection, connection.transaction():
        task = submit("echo", {}, session=connection)
        assert stored(url) == ([], [])
    assert stored(url) == ([], [task.task_id])


def test_anything_but_a_session_of_postgresql_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"^session: must be a connection or session of .*, not sqlite3\.Connection$"):
        submit("echo", {}, session=sqlite3.connect(":memory:"))
    with create_engine("sqlite://").connect() as connection, pytest.raises(TypeError, match="not of sqlite"):
        submit("echo", {}, session=connection)
    with pytest.raises(ValueError, match=r"^schema: "):
        submit("echo", {}, session=sqlite3.connect(":memory:"), schema='x"; DROP TABLE jobs')


def test_a_database_without_longrun_says_what_is_missing(empty_url: str, opened: Open) -> None:
    async def run() -> None:
        async with opened(empty_url.partition("?")[0]) as app:
            with pytest.raises(SubmitNotAvailable, match="no schema longrun is in the database of the session"):
                await app.submit()
            await app.rollback()

    anyio.run(run)
