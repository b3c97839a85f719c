"""A database that others use too, or that 0.1 made: what is Longrun's is moved, what is not is left alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count

import psycopg2
import pytest
from alembic import command
from sqlalchemy import make_url

from jobcore.migrations import Schema, config, look, upgrade
from jobcore.migrations.adoption import ADDED, COMMENT
from longrun_local.postgres import EmbeddedPostgres
from tests.integration.test_migrations import TABLES, YOUNGER, head, start_migrating
from tests.servers import execute

OTHERS = """
CREATE TABLE public.alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO public.alembic_version VALUES ('{revision}');
CREATE TABLE public.jobs (id serial PRIMARY KEY, title text);
CREATE TABLE public.queues (name text);
INSERT INTO public.jobs (title) VALUES ('gardener'), ('baker')
"""
JOB = """
INSERT INTO public.jobs (id, task_type, queue, rank, status, ready, run_at, input, max_attempts)
VALUES (gen_random_uuid(), 'echo', 'default', now(), 'PENDING', true, now(), '{}', 3)
"""
_numbers = count(1)


@pytest.fixture
def url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """An empty database that belongs to a role which is no superuser and is not called like the schema."""
    name = role = f"others_{next(_numbers)}"
    server = postgres.url_of("postgres")
    execute(server, f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    execute(server, f"CREATE DATABASE {name} OWNER {role}")
    address = make_url(postgres.url_of(name)).set(username=role, password="secret")
    yield address.render_as_string(hide_password=False)
    execute(server, f"DROP DATABASE {name} WITH (FORCE)")
    execute(server, f"DROP ROLE {role}")


def admin(postgres: EmbeddedPostgres, url: str) -> str:
    """The same database for the superuser."""
    return postgres.url_of(str(make_url(url).database))


def as_0_1_left_it(url: str, revision: str) -> None:
    """Make a database of 0.1: its tables and the note of their version in `public`."""
    command.upgrade(config(url), revision)
    for (name,) in execute(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'longrun'"):
        execute(url, f"ALTER TABLE longrun.{name} SET SCHEMA public")
    execute(url, "DROP SCHEMA longrun")


def names(url: str, schema: str, kind: str = "r") -> set[object]:
    """The tables (`r`) or views (`v`) of a schema."""
    of_kind = f"SELECT relname FROM pg_class WHERE relnamespace = '{schema}'::regnamespace AND relkind = '{kind}'"
    return {name for (name,) in execute(url, of_kind)}


def refusal(url: str, *arguments: str) -> str:
    """The line that a migration ends with; it must be one line and no traceback."""
    migrator = start_migrating(url, *arguments)
    output, _ = migrator.communicate()
    assert migrator.returncode == 1, output
    assert re.fullmatch(r"longrun: cannot migrate the database at DATABASE_URL: [^\n]+\n", output), output
    assert "secret" not in output
    return output


@pytest.mark.parametrize("revision", ADDED)
def test_the_tables_of_0_1_are_moved_with_their_rows(url: str, revision: str) -> None:
    execute(url, "CREATE SCHEMA longrun")
    as_0_1_left_it(url, revision)
    execute(url, JOB)
    upgrade(url)
    assert names(url, "longrun") == TABLES | {"alembic_version"}
    assert names(url, "public") == set()
    assert execute(url, "SELECT status, queue FROM longrun.jobs") == [("PENDING", "default")]
    assert execute(url, "SELECT version_num FROM longrun.alembic_version") == [(head(url),)]


def test_a_process_of_0_1_reads_and_writes_on_and_the_views_for_it_can_be_dropped(url: str) -> None:
    execute(url, "CREATE SCHEMA longrun")
    as_0_1_left_it(url, max(ADDED))
    upgrade(url)
    execute(url, JOB)
    assert len(execute(url, "SELECT id FROM public.jobs FOR UPDATE SKIP LOCKED")) == 1
    assert execute(url, "SELECT count(*) FROM longrun.jobs") == [(1,)]
    execute(url, "CREATE VIEW public.of_another AS SELECT 1 AS one")
    assert start_migrating(url, "contract").wait() == 0
    assert names(url, "public", "v") == {"of_another"}
    assert COMMENT.startswith("Longrun")


def test_whoever_was_let_in_to_the_tables_of_0_1_still_is(url: str, postgres: EmbeddedPostgres) -> None:
    execute(url, "CREATE SCHEMA longrun")
    as_0_1_left_it(url, max(ADDED))
    reader = f"reader_{next(_numbers)}"
    execute(admin(postgres, url), f"CREATE ROLE {reader}")
    execute(url, f"GRANT SELECT ON public.jobs TO {reader}")
    upgrade(url)
    try:
        for table in ("public.jobs", "longrun.jobs"):
            assert execute(admin(postgres, url), f"SET ROLE {reader}; SELECT count(*) FROM {table}") == [(0,)]
    finally:
        execute(admin(postgres, url), f"DROP OWNED BY {reader}; DROP ROLE {reader}")


@pytest.mark.parametrize("revision", ["0005", "0001", "a1b2c3d4"])
def test_another_applications_tables_and_history_are_left_alone(url: str, revision: str) -> None:
    execute(url, OTHERS.format(revision=revision))
    upgrade(url)
    assert names(url, "longrun") == TABLES | {"alembic_version"}
    assert names(url, "public") == {"alembic_version", "jobs", "queues"}
    assert execute(url, "SELECT version_num FROM public.alembic_version") == [(revision,)]
    assert execute(url, "SELECT title FROM public.jobs") == [("gardener",), ("baker",)]
    assert look(url) is Schema.CURRENT


@pytest.mark.parametrize("other", ["a1b2c3d4", "0003"])
def test_a_history_that_was_shared_keeps_the_other_applications_line(url: str, other: str) -> None:
    execute(url, "CREATE SCHEMA longrun")
    as_0_1_left_it(url, "0005")
    execute(url, f"INSERT INTO public.alembic_version VALUES ('{other}')")
    upgrade(url)
    assert execute(url, "SELECT version_num FROM public.alembic_version") == [(other,)]
    assert execute(url, "SELECT version_num FROM longrun.alembic_version") == [(head(url),)]
    assert names(url, "public") == {"alembic_version"}


def test_tables_of_0_1_whose_revision_nothing_tells_are_not_guessed_at(url: str) -> None:
    execute(url, "CREATE SCHEMA longrun")
    as_0_1_left_it(url, "0005")
    execute(url, "DELETE FROM public.alembic_version")
    assert "insert the one they had" in refusal(url)
    assert names(url, "public") >= TABLES - YOUNGER


def test_a_schema_of_another_application_is_refused(url: str) -> None:
    execute(url, "CREATE SCHEMA longrun")
    execute(url, "CREATE TABLE longrun.alembic_version AS SELECT varchar 'a1b2c3d4' AS version_num")
    assert "LONGRUN_SCHEMA" in refusal(url)


def test_two_deployments_share_a_database_by_schemas_of_their_own(url: str) -> None:
    for schema in ("longrun", "staging", "order", "_2"):
        upgrade(url, schema)
        assert names(url, schema) == TABLES | {"alembic_version"}


def test_an_owner_without_rights_on_public_installs(url: str, postgres: EmbeddedPostgres) -> None:
    execute(admin(postgres, url), "REVOKE ALL ON SCHEMA public FROM PUBLIC, pg_database_owner")
    upgrade(url)
    assert look(url) is Schema.CURRENT


def test_a_role_that_may_not_make_the_schema_is_told_what_to_grant(url: str, postgres: EmbeddedPostgres) -> None:
    role, database = make_url(url).username, make_url(url).database
    execute(admin(postgres, url), f"ALTER DATABASE {database} OWNER TO longrun")
    assert f'CREATE SCHEMA "longrun" AUTHORIZATION "{role}"' in refusal(url)
    execute(admin(postgres, url), "CREATE SCHEMA longrun")
    assert f'GRANT USAGE, CREATE ON SCHEMA "longrun" TO "{role}"' in refusal(url)
    execute(admin(postgres, url), f'GRANT USAGE, CREATE ON SCHEMA "longrun" TO "{role}"')
    upgrade(url)
    assert names(url, "longrun") == TABLES | {"alembic_version"}
    execute(admin(postgres, url), f"DROP OWNED BY {role} CASCADE")


def test_tables_of_another_owner_are_refused_with_what_to_do(url: str, postgres: EmbeddedPostgres) -> None:
    role = make_url(url).username
    execute(admin(postgres, url), "CREATE SCHEMA longrun")
    command.upgrade(config(admin(postgres, url)), "0004")
    execute(admin(postgres, url), f"GRANT ALL ON SCHEMA longrun TO {role}")
    assert f'OWNER TO "{role}"' in refusal(url)


def test_a_database_that_takes_no_writes_is_refused_with_what_to_do(url: str, postgres: EmbeddedPostgres) -> None:
    role = make_url(url).username
    execute(admin(postgres, url), f"ALTER ROLE {role} SET default_transaction_read_only = on")
    assert "default_transaction_read_only must be off" in refusal(url)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_every_text_is_refused(postgres: EmbeddedPostgres, encoding: str) -> None:
    name, server = f"narrow_{encoding.lower()}", postgres.url_of("postgres")
    execute(server, f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0")
    try:
        assert "ENCODING 'UTF8'" in refusal(postgres.url_of(name))
        assert names(postgres.url_of(name), "public") == set()
    finally:
        execute(server, f"DROP DATABASE {name}")


def test_a_migration_is_under_way_once_however_the_role_limits_time(url: str, postgres: EmbeddedPostgres) -> None:
    role = make_url(url).username
    for setting in (
        "statement_timeout = '1ms'",
        "lock_timeout = '1ms'",
        "default_transaction_isolation = serializable",
    ):
        execute(admin(postgres, url), f"ALTER ROLE {role} SET {setting}")
    turn = psycopg2.connect(admin(postgres, url))
    with turn.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(b"longrun", "big")])
    migrators = [start_migrating(url) for _ in range(2)]
    for migrator in migrators:
        assert migrator.stdout is not None
        assert "under way" in migrator.stdout.readline()
    turn.close()
    assert [migrator.communicate()[0] for migrator in migrators] == ["longrun: the database schema is current\n"] * 2
