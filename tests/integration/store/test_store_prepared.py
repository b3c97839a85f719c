"""Prepared statements: planned once a connection, and no harm when the connection forgets or changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import ProgrammingError

from jobcore.store.prepared import Prepared

DOUBLE = Prepared("double", "SELECT :n * 2, :n", n="integer")


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    engine = create_engine(database_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def known(connection: Connection) -> list[str]:
    return list(
        connection.execute(text("SELECT name FROM pg_prepared_statements WHERE name LIKE 'longrun%'")).scalars()
    )


def test_a_statement_is_prepared_once_a_connection(connection: Connection) -> None:
    assert [DOUBLE.execute(connection, {"n": n}).one() for n in range(8)] == [(2 * n, n) for n in range(8)]
    assert len(known(connection)) == 1
    plans = connection.execute(text("SELECT generic_plans + custom_plans FROM pg_prepared_statements")).scalars()
    assert list(plans) == [8]


def test_a_connection_that_forgot_the_statement_learns_it_again(connection: Connection) -> None:
    DOUBLE.execute(connection, {"n": 1})
    connection.execute(text("DISCARD ALL"))
    assert DOUBLE.execute(connection, {"n": 2}).one() == (4, 2)
    assert len(known(connection)) == 1


def test_a_pooler_that_changes_connections_at_every_statement_gets_the_plain_one(connection: Connection) -> None:
    def change(_connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("PREPARE"):
            cursor.execute("DEALLOCATE ALL")

    event.listen(connection.engine, "after_cursor_execute", change)
    assert DOUBLE.execute(connection, {"n": 3}).one() == (6, 3)


@pytest.mark.parametrize("shared", [False, True])
def test_what_could_be_prepared_only_in_part_is_prepared_whole_once_it_can_be(
    connection: Connection, shared: bool
) -> None:
    later = Prepared("later", "SELECT n FROM made_later", first="SELECT 1")
    connection.info["longrun_shared"] = shared
    for _ in range(2):
        with pytest.raises(ProgrammingError, match="made_later"):
            later.execute(connection, {})
    connection.execute(text("CREATE TABLE made_later AS SELECT 7 AS n"))
    try:
        assert later.execute(connection, {}).scalar_one() == 7
    finally:
        connection.execute(text("DROP TABLE made_later"))


def test_settings_of_the_statement_do_not_outlive_it(connection: Connection) -> None:
    before = connection.execute(text("SELECT current_setting('enable_seqscan'), current_setting('statement_timeout')"))
    expected = before.one()
    DOUBLE.execute(connection, {"n": 1})
    after = connection.execute(text("SELECT current_setting('enable_seqscan'), current_setting('statement_timeout')"))
    assert after.one() == expected
