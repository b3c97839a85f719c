"""What each statement string begins with, and several strings in one transaction.

PostgreSQL runs a string of several statements as one transaction, so `SET LOCAL` holds for that string and costs no
round trip of its own. Nothing is ever set for a session, because PgBouncer in transaction mode may share the session
with other clients.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Engine, event, text

from jobcore.errors import StoreUnavailable
from jobcore.store import acting
from jobcore.store.deadlines import DEADLINES, Call

DURABLE: Final = """SET LOCAL synchronous_commit = on; SET LOCAL timezone = 'UTC';
"""
"""What each string that writes begins with."""

STATEMENT_MS: Final = 10_000
"""The longest that a statement outside a call may take, in milliseconds."""

CONFIRM: Final = text(
    DURABLE
    + """
SELECT pg_logical_emit_message(true, 'longrun', 'confirm') WHERE current_setting('transaction_read_only') = 'off'
"""
)
"""Commits once more, durably. What was committed before lies before it in the WAL, so a standby that has confirmed this
commit has the earlier ones too."""


def begin_strings(engine: Engine, schema: str) -> None:
    """Begin each string that this engine sends with settings that must hold whatever the server is configured with.

    These are the schema in which names are looked up, no JIT (it would compile for longer than a statement runs), the
    act of a caller (store/acting.py), and the time that the statement may take. The parameter `options` at connection
    time would cost less, but PgBouncer refuses it and shares its server connections.
    """
    prefix = f'SET LOCAL search_path = "{schema}", pg_temp; SET LOCAL jit = off; '

    def begin(
        _connection: Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
    ) -> tuple[str, Any]:
        timeout = f"SET LOCAL statement_timeout = {_statement_ms()};"
        return f"{prefix}{acting.setting()}{timeout}\n{statement}", parameters

    event.listen(engine, "before_cursor_execute", begin, retval=True)


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Make the strings that are sent inside the block one transaction, for work that needs several store functions.

    Each string sees what was committed before it (READ COMMITTED). `Prepared.execute` cannot be used inside.
    """
    with connection.execution_options(isolation_level="READ COMMITTED").begin():
        yield


def silent(call: Call) -> StoreUnavailable:
    """The error for a call whose time is over."""
    return StoreUnavailable(f"PostgreSQL did not answer within {call.timeout_s:g} s")


def _statement_ms() -> int:
    call = DEADLINES.here()
    if call is None:
        return STATEMENT_MS
    milliseconds = call.statement_ms()
    if milliseconds == 0:
        raise silent(call)
    return milliseconds
