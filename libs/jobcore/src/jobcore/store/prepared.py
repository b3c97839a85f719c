"""Statements that PostgreSQL plans once a connection: planning the hot ones costs as much as running them.

psycopg2 prepares nothing by itself, so this sends `PREPARE` and `EXECUTE`. Nothing is tried that may fail: a failed
`EXECUTE` is written to PostgreSQL's log as a whole, with the inputs of the jobs in it.

- On a connection of its own, the pool's record of the connection (`Connection.info`) notes what was prepared.
- Behind a pooler that shares connections (PgBouncer in transaction mode), each string may reach another connection.
  There, the string itself prepares what is missing before it executes it. A pooler is known by the process id that it
  reports at the start of a connection: PostgreSQL's own process has another one.

The name of a prepared statement is derived from its text, so it means the same wherever it is known.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from sqlalchemy import Connection, CursorResult, TextClause, text
from sqlalchemy.exc import DBAPIError

from jobcore.store.transactions import DURABLE

FORGOTTEN: Final = "26000"
ORDERED: Final = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;\n"
"""Read an index in its order up to a limit: where statistics are missing or old, PostgreSQL would rather sort all that
a condition holds for, which grows with the history."""
BY_INDEX: Final = f"SET LOCAL plan_cache_mode = force_generic_plan; {ORDERED}"
"""Plan once: with many rows PostgreSQL would plan anew each time, for twice the cost of running.

The plan may be made while a table is small and kept while it grows, and it knows no limits and counts: it must not be
one that reads a table or an index as a whole.
"""
NESTED: Final = f"{BY_INDEX}SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;\n"
"""`BY_INDEX` for statements that join tables: each row by its index. One that only joins what it was given itself needs
hash joins, because a nested loop over n given rows takes n² steps."""
_PARAMETER: Final = re.compile(r"(?<![:\w]):(\w+)")
_PREPARED: Final = "longrun_prepared"
_SHARED: Final = "longrun_shared"


class Prepared:
    """A durable statement with `:name` parameters of the given SQL types.

    `first` is a statement that is sent before it in the same transaction, with the same parameters: what has to be
    locked before the statement looks. `planner` are settings under which both are planned.
    """

    def __init__(self, label: str, sql: str, *, first: str = "", planner: str = NESTED, **types: str) -> None:
        statement = _Statement.of(label, sql, types)
        statements = [_Statement.of(f"before_{label}", first, types), statement] if first else [statement]
        execute = ";\n".join(one.execute for one in statements)
        missing = "".join(_unless_known(one) for one in statements)
        self._prepare = {one.name: text(one.prepare) for one in statements}
        self._execute = text(f"{DURABLE}{planner}{execute}")
        self._prepare_and_execute = text(f"{DURABLE}{planner}{missing}{execute}")
        self._plain = text(f"{DURABLE}{first};\n{sql}" if first else f"{DURABLE}{sql}")

    @property
    def texts(self) -> tuple[TextClause, ...]:
        """Each of the strings in which it may be sent."""
        return self._execute, self._prepare_and_execute, self._plain

    def execute(self, connection: Connection, parameters: Mapping[str, Any]) -> CursorResult[Any]:
        """Run it as a transaction of its own."""
        if _is_shared(connection):
            return connection.execute(self._prepare_and_execute, parameters)
        prepared: set[str] = connection.info.setdefault(_PREPARED, set())
        # one by one: PREPARE is no part of a transaction, so what came before one that fails is there all the same
        for name in self._prepare.keys() - prepared:
            connection.execute(self._prepare[name])
            prepared.add(name)
        try:
            return connection.execute(self._execute, parameters)
        except DBAPIError as error:
            if getattr(error.orig, "pgcode", None) != FORGOTTEN:
                raise
            # somebody in between discards what sessions keep: from now on this connection relies on nothing
            connection.info[_SHARED] = True
            return connection.execute(self._prepare_and_execute, parameters)

    def inside(self, connection: Connection, parameters: Mapping[str, Any]) -> CursorResult[Any]:
        """Run it as a part of the caller's transaction: not prepared, under the planner settings that are there."""
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
    """Whether a pooler stands between: it reports a process id that is not the one of PostgreSQL's process."""
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
