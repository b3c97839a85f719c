"""Statements that PostgreSQL plans once for each connection, because planning them costs as much as running them.

psycopg2 prepares nothing, so this module sends `PREPARE` and `EXECUTE`. It never sends an `EXECUTE` that may fail for a
missing statement, because PostgreSQL would write it to its log with the inputs of the jobs.

- On a connection of our own, the pool's record of the connection (`Connection.info`) has what was prepared.
- Behind a pooler that shares connections (PgBouncer in transaction mode), each string may reach another connection. So
  the string itself prepares what is missing before it executes it. A pooler is recognised by the process id that it
  reports at the start of a connection, which is not that of PostgreSQL's process.

The name of a prepared statement contains a hash of its text, so it means the same on every connection.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from sqlalchemy import Connection, CursorResult, TextClause, text
from sqlalchemy.exc import DBAPIError

from jobcore.store.transactions import DURABLE

FORGOTTEN: Final = "26000"
"""SQLSTATE invalid_sql_statement_name: there is no such prepared statement."""
ORDERED: Final = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;\n"
"""Settings with which PostgreSQL reads an index in order up to a limit. With missing or old statistics, it would rather
sort all rows for which the condition holds, and these grow with the history."""
BY_INDEX: Final = f"SET LOCAL plan_cache_mode = force_generic_plan; {ORDERED}"
"""Settings with which PostgreSQL plans a prepared statement once. Otherwise, for many rows, it would plan each time,
which costs twice as much as running.

The plan does not depend on limits and counts, and may be made for a small table and kept while it grows. So it must not
read a table or an index as a whole.
"""
_PARAMETER: Final = re.compile(r"(?<![:\w]):(\w+)")
_PREPARED: Final = "longrun_prepared"
_SHARED: Final = "longrun_shared"


class Prepared:
    """A durable statement with `:name` parameters of the given SQL types.

    `first` are statements that are sent before it in the same transaction, with the same parameters; they take locks
    that the statement needs before it reads. All are planned with the settings `BY_INDEX`. `settings` are more of them.
    """

    def __init__(
        self, label: str, sql: str, *, first: str | Sequence[str] = (), settings: str = "", **types: str
    ) -> None:
        first = [first] if isinstance(first, str) else first
        before = [_Statement.of(f"before_{label}", one, types) for one in first]
        statements = [*before, _Statement.of(label, sql, types)]
        execute = settings + ";\n".join(one.execute for one in statements)
        missing = "".join(_unless_known(one) for one in statements)
        self._prepare = {one.name: text(one.prepare) for one in statements}
        self._execute = text(f"{DURABLE}{BY_INDEX}{execute}")
        self._prepare_and_execute = text(f"{DURABLE}{BY_INDEX}{missing}{execute}")
        self._plain = text(DURABLE + settings + ";\n".join([*first, sql]))

    @property
    def texts(self) -> tuple[TextClause, ...]:
        """All strings in which the statement may be sent."""
        return self._execute, self._prepare_and_execute, self._plain

    def execute(self, connection: Connection, parameters: Mapping[str, Any]) -> CursorResult[Any]:
        """Run the statement in a transaction of its own."""
        if _is_shared(connection):
            return connection.execute(self._prepare_and_execute, parameters)
        prepared: set[str] = connection.info.setdefault(_PREPARED, set())
        # one by one: a PREPARE is not undone when a later one fails, so each must be noted at once
        for name in self._prepare.keys() - prepared:
            connection.execute(self._prepare[name])
            prepared.add(name)
        try:
            return connection.execute(self._execute, parameters)
        except DBAPIError as error:
            if getattr(error.orig, "pgcode", None) != FORGOTTEN:
                raise
            # a pooler discards the state of sessions, so this connection no longer relies on it
            connection.info[_SHARED] = True
            return connection.execute(self._prepare_and_execute, parameters)

    def inside(self, connection: Connection, parameters: Mapping[str, Any]) -> CursorResult[Any]:
        """Run the statement in the transaction of the caller: not prepared, and planned as any other statement."""
        return connection.execute(self._plain, parameters)


@dataclass(frozen=True, slots=True)
class _Statement:
    """One statement of a `Prepared`, with the parameters that it uses."""

    name: str
    prepare: str
    execute: str

    @classmethod
    def of(cls, label: str, sql: str, types: Mapping[str, str]) -> Self:
        used = set(_PARAMETER.findall(sql))
        order = [parameter for parameter in types if parameter in used]
        signature = f"({', '.join(types[parameter] for parameter in order)})" if order else ""
        given = f"({', '.join(f':{parameter}' for parameter in order)})" if order else ""
        name = f"longrun_{label}_{hashlib.sha256(f'{signature}{sql}'.encode()).hexdigest()[:12]}"
        numbered = _PARAMETER.sub(lambda match: f"${order.index(match[1]) + 1}", sql).replace(":", "\\:")
        return cls(name, f"PREPARE {name} {signature} AS {numbered}", f"EXECUTE {name} {given}")


def _is_shared(connection: Connection) -> bool:
    """Whether the connection goes through a pooler, which reports another process id than PostgreSQL's process has."""
    if _SHARED not in connection.info:
        reported = connection.connection.driver_connection.get_backend_pid()  # type: ignore[union-attr]
        connection.info[_SHARED] = connection.execute(text("SELECT pg_backend_pid()")).scalar_one() != reported
    shared: bool = connection.info[_SHARED]
    return shared


def _unless_known(statement: _Statement) -> str:
    return f"""
DO $longrun$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_prepared_statements WHERE name = '{statement.name}') THEN
        EXECUTE $statement${statement.prepare}$statement$;
    END IF;
END $longrun$;
"""
