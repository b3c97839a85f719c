"""Indexes that are built while jobs go on. A migration that calls `build` does nothing else.

An interrupted build leaves an invalid index, which is dropped and built again when the migration is started again; one
that is there and valid is left as it is. So such a migration can be run any number of times.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import text


def build(name: str, definition: str, *, unique: bool = False) -> None:
    """Build an index, such as `build("jobs_due", "jobs (run_at) WHERE status = 'PENDING'")`.

    Writers are never blocked: `CREATE INDEX CONCURRENTLY` unless the table is empty.
    """
    schema, table = _schema(), definition.split(maxsplit=1)[0]
    kind = "UNIQUE INDEX" if unique else "INDEX"
    connection = op.get_bind()
    valid = connection.execute(
        text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"), {"name": f'"{schema}".{name}'}
    ).scalar()
    if valid:
        return
    is_empty = connection.execute(text(f'SELECT NOT EXISTS (SELECT FROM "{schema}".{table})')).scalar()
    if is_empty and valid is None:
        connection.exec_driver_sql(f'CREATE {kind} {name} ON "{schema}".{definition}')
        return
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        if valid is False:
            connection.exec_driver_sql(f'DROP INDEX CONCURRENTLY "{schema}".{name}')
        connection.exec_driver_sql(f'CREATE {kind} CONCURRENTLY {name} ON "{schema}".{definition}')


def drop(name: str) -> None:
    """Drop an index without blocking anybody; fine if it is not there."""
    with op.get_context().autocommit_block():
        op.get_bind().exec_driver_sql(f'DROP INDEX CONCURRENTLY IF EXISTS "{_schema()}".{name}')


def _schema() -> str:
    return str(op.get_context().opts["version_table_schema"])
