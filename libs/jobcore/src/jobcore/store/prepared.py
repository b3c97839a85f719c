"""Statements that PostgreSQL plans once a connection: planning the hot ones costs as much as running them.

`EXECUTE` of a name that this connection does not know fails before anything is done; then the statement is prepared
and executed again. The name is derived from the text, so it means the same wherever it is known. Behind PgBouncer in
transaction mode the second try may land on another server connection: after a few tries the plain statement is sent.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, CursorResult, text
from sqlalchemy.exc import DBAPIError

from jobcore.store.database import DURABLE

TRIES: Final = 3
UNKNOWN_NAME: Final = "26000"
KNOWN_NAME: Final = "42P05"
BY_INDEX: Final = """SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;
"""
"""Plan once: with many rows PostgreSQL would plan anew each time, for twice the cost of running.

The plan may be made while a table is small and kept while it grows, and it knows no limits and counts: it must not be
one that reads a table or an index as a whole.
"""
_PARAMETER: Final = re.compile(r"(?<![:\w]):(\w+)")


class Prepared:
    """A durable statement with `:name` parameters of the given SQL types."""

    def __init__(self, label: str, sql: str, **types: str) -> None:
        order = list(types)
        signature = ", ".join(types.values())
        name = f"longrun_{label}_{hashlib.sha256(f'{signature}{sql}'.encode()).hexdigest()[:12]}"
        numbered = _PARAMETER.sub(lambda match: f"${order.index(match[1]) + 1}", sql).replace(":", "\\:")
        self._prepare = text(f"PREPARE {name} ({signature}) AS {numbered}")
        self._execute = text(f"{DURABLE}{BY_INDEX}EXECUTE {name} ({', '.join(f':{parameter}' for parameter in order)})")
        self._plain = text(DURABLE + sql)

    def execute(self, connection: Connection, parameters: Mapping[str, Any]) -> CursorResult[Any]:
        """Run it as a transaction of its own."""
        for _ in range(TRIES):
            try:
                return connection.execute(self._execute, parameters)
            except DBAPIError as error:
                _only(error, UNKNOWN_NAME)
            try:
                connection.execute(self._prepare)
            except DBAPIError as error:
                _only(error, KNOWN_NAME)
        return self.inside(connection, parameters)

    def inside(self, connection: Connection, parameters: Mapping[str, Any]) -> CursorResult[Any]:
        """Run it as a part of a transaction, which the failure of an unknown name would abort: so not prepared."""
        return connection.execute(self._plain, parameters)


def _only(error: DBAPIError, code: str) -> None:
    if getattr(error.orig, "pgcode", None) != code:
        raise error
