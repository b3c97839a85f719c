"""Indexes that are built while jobs run. A migration that calls `build` does nothing else.

An interrupted build leaves an invalid index, which the next run of the migration drops and builds again. A valid index
is left as it is. So such a migration can run any number of times.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import text


def build(name: str, definition: str, *, unique: bool = False) -> None:
    """Build an index, such as `build("jobs_due", "jobs (run_at) WHERE status = 'PENDING'")`.

    It never blocks writers: it uses `CREATE INDEX CONCURRENTLY`, unless the table is empty.
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
    """Drop an index, if it exists, without blocking other sessions."""
    with op.get_context().autocommit_block():
        op.get_bind().exec_driver_sql(f'DROP INDEX CONCURRENTLY IF EXISTS "{_schema()}".{name}')


def _schema() -> str:
    return str(op.get_context().opts["version_table_schema"])
