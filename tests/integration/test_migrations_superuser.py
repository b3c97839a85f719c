"""The server of an earlier chart, whose only role is a superuser: its role becomes an owner of its database alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import psycopg2
import pytest

from longrun_local.postgres import EmbeddedPostgres
from tests.integration.store.world import World
from tests.integration.test_migrations import start_migrating
from tests.servers import execute, postgres_kind

_numbers = count(1)

OWNERS = """
SELECT DISTINCT pg_get_userbyid(owner) FROM (
    SELECT relowner FROM pg_class WHERE relnamespace = 'longrun'::regnamespace
    UNION ALL SELECT nspowner FROM pg_namespace WHERE nspname = 'longrun'
    UNION ALL SELECT datdba FROM pg_database WHERE datname = current_database()
    UNION ALL SELECT typowner FROM pg_type WHERE typname = 'mood'
    UNION ALL SELECT proowner FROM pg_proc WHERE proname IN ('answer', 'total')
) AS owners (owner)
"""
SUPERUSERS = "SELECT rolname FROM pg_authid WHERE rolsuper AND (rolpassword IS NOT NULL OR rolname <> 'postgres')"
USERS_OWN = """
CREATE TABLE public.notes (id serial PRIMARY KEY, n integer GENERATED ALWAYS AS IDENTITY, text text);
CREATE TYPE public.mood AS ENUM ('good');
CREATE FUNCTION public.answer(a integer, b text DEFAULT '%') RETURNS integer LANGUAGE sql AS 'SELECT 42';
CREATE AGGREGATE public.total(integer) (sfunc = int4pl, stype = integer);
CREATE EXTENSION IF NOT EXISTS plpgsql
"""


@pytest.fixture
def earlier(server_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server of its own, for roles are a whole server's."""
    with postgres_kind()(server_folder / f"earlier-{next(_numbers)}") as server:
        yield server


def migrate(url: str) -> str:
    migrator = start_migrating(url, "upgrade", "--shed-superuser")
    output, _ = migrator.communicate()
    assert migrator.returncode == 0, output
    return output


def test_the_role_of_an_earlier_chart_is_no_superuser_after_an_upgrade(earlier: EmbeddedPostgres) -> None:
    url = earlier.url
    execute(url, USERS_OWN)
    with closing(psycopg2.connect(url)) as old, World(url) as world:
        assert start_migrating(url).wait() == 0
        job = world.insert()

        assert '"longrun" is no superuser any more; that is "postgres"' in migrate(url)

        assert execute(
            url, "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = 'longrun'"
        ) == [(False,)]
        assert execute(url, OWNERS) == [("longrun",)]
        assert execute(url, "SELECT count(*) FROM pg_roles WHERE rolname = 'longrun_handover'") == [(0,)]
        world.take(world.worker())  # a connection of before goes on
        with old.cursor() as cursor:
            cursor.execute(SUPERUSERS)
            assert cursor.fetchall() == [], "somebody can get in as a superuser over the network"
    with World(url) as world:
        assert world.sql("SELECT status FROM jobs WHERE id = :id", id=job) == [{"status": "RUNNING"}]
        world.insert()
    assert migrate(url) == "longrun: the database schema is current\n"
    execute(url, "ALTER TABLE public.notes ADD more text; DROP FUNCTION public.answer(integer, text)")


def test_a_superuser_that_an_operator_made_keeps_its_rights(earlier: EmbeddedPostgres) -> None:
    execute(
        earlier.url,
        "CREATE ROLE mine SUPERUSER LOGIN PASSWORD 'secret'; CREATE ROLE postgres; CREATE ROLE longrun_superuser",
    )
    for url in (earlier.url, earlier.url.replace(f"longrun:{earlier.password()}@", "mine:secret@")):
        assert "stays a superuser" in migrate(url)
        assert execute(url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == [(True,)]
    execute(earlier.url, "DROP ROLE longrun_superuser")
    assert 'that is "longrun_superuser"' in migrate(earlier.url)
