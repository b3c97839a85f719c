"""Jobs of applications' own transactions: `longrun.submit` in the database, and their promotion after the commit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege
from psycopg.sql import SQL, Identifier

from jobcore.store import concurrency_limits, glance, jobs, limits, low_ranks, promotion, queue_deletion, task_types
from jobcore.store.concurrency_limits import ConcurrencyLimit
from jobcore.store.database import Database
from jobcore.tasks import load_tasks
from tests.docs.pages import ROOT, blocks
from tests.integration.store.world import HIDDEN, QUEUE, World
from tests.servers import execute

SUBMIT = "SELECT longrun.submit(CAST(%s AS text))"
BODY = {"task_type": "echo", "input": {}}


@pytest.fixture
def url(database_url: str, world: World) -> str:
    """A database in which an API has published its task types."""
    world.call(task_types.publish, load_tasks().all())
    return database_url


@pytest.fixture
def app(url: str) -> Iterator[psycopg.Connection]:
    """An application's connection."""
    with psycopg.connect(url) as connection:
        yield connection


def submit(connection: psycopg.Connection, **fields: Any) -> dict[str, Any]:
    [[task]] = connection.execute(SUBMIT, [json.dumps({**BODY, **fields})])
    return dict(task)


def test_an_open_transaction_holds_no_lock_that_others_wait_for(
    world: World, app: psycopg.Connection, url: str
) -> None:
    """The queue and the fairness key are new, so whoever comes second would wait for the row of the first."""
    fields: dict[str, Any] = {"queue": "new", "fairness_key": "tenant", "priority": 9, "concurrency_key": "one"}
    submit(app, **fields, dedupe_key="mine")
    impatient = Database(url, name="test", timeout_s=3)
    theirs = world.new(**fields, dedupe_key="another")
    impatient.call(jobs.insert, [theirs])
    impatient.call(limits.unblock, ["one"])
    impatient.call(low_ranks.refresh, ["new"])
    assert impatient.call(queue_deletion.delete, "nobody's") is None, "it takes the lock of all intakes alone"
    assert impatient.call(promotion.promote) == []
    impatient.close()
    assert [claim.id for claim in world.take(world.worker("new"), 10, queue="new")] == [theirs.id]


def test_after_the_commit_a_job_is_ready_in_the_order_of_promotion_with_its_queue_known(
    world: World, app: psycopg.Connection
) -> None:
    older = submit(app, queue="new")["task_id"]
    second = submit(app, queue="new")["task_id"]
    app.commit()
    assert world.sql("SELECT name FROM queues") == []
    before = world.insert(queue="other")
    assert world.promote() == {"new": 2}
    assert [row["name"] for row in world.sql("SELECT name FROM queues ORDER BY name")] == ["new", "other"]
    assert world.row(older)["rank"] > world.row(before)["rank"], "not the rank of a long transaction's begin"
    assert world.row(older)["run_at"] > world.row(older)["created_at"]
    worker = world.worker("new")
    assert [str(claim.id) for claim in world.take(worker, 10, queue="new", quick=["echo"])] == [older, second]


def test_a_job_of_a_long_transaction_is_not_hidden_below_the_low_water_rank(
    world: World, app: psycopg.Connection
) -> None:
    world.insert()
    task = submit(app)["task_id"]
    app.commit()
    # as after a transaction of two hours, in which the keeper raised the low-water rank
    world.sql(
        f"UPDATE jobs SET created_at = now() - interval '2 hours', run_at = now() - interval '2 hours',"
        f" rank = now() - interval '2 hours' WHERE id = '{task}' RETURNING id"
    )
    world.refresh_low_ranks()
    world.promote()
    assert world.sql(HIDDEN) == []
    assert world.row(task)["ready"]


def test_a_queue_that_only_a_later_job_has_is_known_at_the_next_check(world: World, app: psycopg.Connection) -> None:
    submit(app, queue="tomorrow", delay_s=86_400)
    app.commit()
    first = world.call(glance.look, world.new().id, 10.0)
    assert first.work, "a queue has no row yet"
    world.promote()
    assert [row["name"] for row in world.sql("SELECT name FROM queues")] == ["tomorrow"]
    assert not world.call(glance.look, world.new().id, 10.0).work


def test_jobs_of_transactions_take_the_turns_of_their_fairness_key(world: World, app: psycopg.Connection) -> None:
    ours = [submit(app, fairness_key="a")["task_id"] for _ in range(3)]
    app.commit()
    world.promote()
    other = str(world.insert(fairness_key="b"))
    again = str(world.insert(fairness_key="a"))
    ranked = sorted([*ours, other, again], key=lambda one: world.row(one)["rank"])
    assert ranked == [ours[0], other, ours[1], ours[2], again]


def test_a_job_that_waits_for_its_time_takes_no_turn(world: World, app: psycopg.Connection) -> None:
    task = submit(app, fairness_key="a", delay_s=60)["task_id"]
    app.commit()
    world.sql("UPDATE jobs SET run_at = now() - interval '1 s' RETURNING id")
    world.promote()
    assert world.row(task)["rank"] == world.row(task)["run_at"]
    assert world.sql("SELECT * FROM fair_turns") == []


def test_a_concurrency_key_limits_jobs_of_transactions(world: World, app: psycopg.Connection) -> None:
    for _ in range(5):
        submit(app, concurrency_key="k")
    app.commit()
    world.call(concurrency_limits.put, ConcurrencyLimit("k", 2))
    assert world.promote() == {}
    assert world.call(limits.unblock, ["k"]).queues == {QUEUE: 2}


def test_a_live_job_with_the_dedupe_key_is_returned(world: World, app: psycopg.Connection, url: str) -> None:
    posted = world.insert(dedupe_key="k")
    task = submit(app, dedupe_key="k")
    assert (task["task_id"], task["deduplicated"]) == (str(posted), True)
    world.cancel(posted)
    first = submit(app, dedupe_key="k")
    assert submit(app, dedupe_key="k") == {**first, "deduplicated": True}
    app.rollback()
    with psycopg.connect(url) as other:
        assert submit(other, dedupe_key="k")["deduplicated"] is False, "the rollback left the key free"


def test_a_repeatable_read_transaction_that_cannot_see_the_live_job_is_told_to_start_again(
    world: World, app: psycopg.Connection
) -> None:
    app.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    submit(app)
    world.insert(dedupe_key="k")
    with pytest.raises(psycopg.errors.SerializationFailure):
        submit(app, dedupe_key="k")


def test_a_trigger_submits_a_job_for_each_row(world: World, app: psycopg.Connection) -> None:
    app.execute("""
        CREATE TEMPORARY TABLE orders (id integer);
        CREATE FUNCTION pg_temp.ordered() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM longrun.submit(jsonb_build_object('task_type', 'echo', 'input', jsonb_build_object('n', NEW.id)));
            RETURN NEW;
        END $$;
        CREATE TRIGGER ordered AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION pg_temp.ordered();
        INSERT INTO orders SELECT generate_series(1, 3);
    """)
    app.commit()
    assert [row["input"] for row in world.sql("SELECT input FROM jobs ORDER BY id")] == [{"n": n} for n in (1, 2, 3)]


def test_ids_are_in_the_order_of_the_calls(app: psycopg.Connection) -> None:
    ids = [submit(app)["task_id"] for _ in range(200)]
    assert ids == sorted(set(ids))
    assert {one[14] for one in ids} == {"7"}


def test_numbers_are_stored_as_they_were_sent(world: World, app: psycopg.Connection) -> None:
    sent = '{"big": 1e308, "zero": -0.0, "plain": 1.50}'
    [[task]] = app.execute(SUBMIT, [f'{{"task_type": "echo", "input": {sent}, "metadata": {sent}}}'])
    app.commit()
    job = world.call(jobs.get, task["task_id"])
    assert job is not None
    assert (job.input, job.metadata) == (sent, json.loads(sent))


@pytest.fixture
def alices_shop(url: str) -> Iterator[psycopg.Connection]:
    """A connection of a role that may only submit for one owner, made as docs/transactions.md says."""
    role = "alice_" + url.rpartition("/")[2].partition("?")[0]
    [recipe] = [block.text for block in blocks(ROOT / "docs/transactions.md") if "alices_shop" in block.text]
    execute(url, f"CREATE ROLE {role}")
    for statement in recipe.replace("alices_shop", role).split(";\n"):
        if statement:
            execute(url, statement)
    with psycopg.connect(url) as connection:
        connection.execute(SQL("SET ROLE {}").format(Identifier(role)))
        connection.commit()
        yield connection
    for statement in (f"DROP OWNED BY {role}", f"DROP ROLE {role}"):
        execute(url, statement)


def test_a_role_made_for_one_owner_submits_for_no_other(world: World, alices_shop: psycopg.Connection) -> None:
    for given in (BODY, {**BODY, "owner": "bob"}, {**BODY, "owner": None}):
        [[task]] = alices_shop.execute("SELECT alice.submit(CAST(%s AS jsonb))", [json.dumps(given)])
        alices_shop.commit()
        assert world.row(task["task_id"])["owner"] == "alice"
    for text in ("[]", "null", '"x"', '[{"task_type": "echo", "input": {}, "owner": "bob"}]'):
        with pytest.raises(psycopg.Error, match="object"):
            alices_shop.execute("SELECT alice.submit(CAST(%s AS jsonb))", [text])
        alices_shop.rollback()
    for statement in (SUBMIT, "SELECT longrun.submit(CAST(%s AS jsonb))"):
        with pytest.raises(InsufficientPrivilege):
            alices_shop.execute(statement, [json.dumps(BODY)])
        alices_shop.rollback()


@pytest.fixture
def submitter(url: str) -> Iterator[psycopg.Connection]:
    """A connection of a role that may only submit, made as docs/transactions.md says."""
    role = "inside_" + url.rpartition("/")[2].partition("?")[0]
    for statement in (
        f"CREATE ROLE {role}",
        f"GRANT USAGE ON SCHEMA longrun TO {role}",
        f"GRANT EXECUTE ON FUNCTION longrun.submit(text), longrun.submit(jsonb) TO {role}",
    ):
        execute(url, statement)
    with psycopg.connect(url) as connection:
        connection.execute(SQL("SET ROLE {}").format(Identifier(role)))
        connection.commit()
        yield connection
    for statement in (f"DROP OWNED BY {role}", f"DROP ROLE {role}"):
        execute(url, statement)


def test_a_role_that_may_only_submit_can_do_nothing_else(world: World, submitter: psycopg.Connection) -> None:
    task = submit(submitter)["task_id"]
    submitter.commit()
    assert world.row(task)["status"] == "PENDING"
    ours = "relnamespace = CAST('longrun' AS regnamespace)"
    tables = [row["name"] for row in world.sql(f"SELECT relname AS name FROM pg_class WHERE {ours} AND relkind = 'r'")]
    functions = [row["call"] for row in world.sql("""
        SELECT format('longrun.%I(%s)', proname, (
            SELECT string_agg('CAST(NULL AS ' || format_type(type, NULL) || ')', ', ' ORDER BY position)
            FROM unnest(proargtypes) WITH ORDINALITY AS argument (type, position))) AS call
        FROM pg_proc WHERE pronamespace = CAST('longrun' AS regnamespace) AND proname <> 'submit'
    """)]  # fmt: skip
    assert {"jobs", "job_events", "task_types"} <= set(tables)
    assert len(functions) > 8
    refused = [
        *(f"SELECT * FROM longrun.{table}" for table in tables),
        *(f"DELETE FROM longrun.{table}" for table in tables),
        *(f"TRUNCATE longrun.{table}" for table in tables),
        "UPDATE longrun.jobs SET priority = 9",
        "INSERT INTO longrun.queues (name) VALUES ('x')",
        *(f"SELECT {call}" for call in functions),
        "CREATE TABLE longrun.mine (id integer)",
        "CREATE OR REPLACE FUNCTION longrun.submit(text) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb'",
        "CREATE FUNCTION longrun.refuse(text, text, text) RETURNS void LANGUAGE sql AS ''",
    ]
    for statement in refused:
        with pytest.raises(InsufficientPrivilege):
            submitter.execute(statement)
        submitter.rollback()


def test_objects_of_the_caller_take_no_part_in_a_submission(world: World, submitter: psycopg.Connection) -> None:
    """Names in the function must not be found in the caller's schemas: it would run them with the owner's rights."""
    submitter.execute("""
        CREATE TEMPORARY TABLE jobs (id uuid);
        CREATE TEMPORARY TABLE task_types (name text);
        CREATE FUNCTION pg_temp.refuse(text, text) RETURNS void LANGUAGE sql AS 'SELECT pg_sleep(1000)';
        CREATE FUNCTION pg_temp.format(text, text) RETURNS text LANGUAGE sql AS 'SELECT current_user::text';
        SET LOCAL search_path = pg_temp, longrun, public;
    """)
    task = submit(submitter)["task_id"]
    submitter.commit()
    assert world.row(task)["status"] == "PENDING"
    with pytest.raises(psycopg.Error, match="priority: must be 0 to 9"):
        submit(submitter, priority=10)
