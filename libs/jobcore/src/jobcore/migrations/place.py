"""The schema of Longrun's tables: created if it does not exist, refused if it cannot be used."""

from __future__ import annotations

from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from jobcore.migrations.refusals import NO_RIGHT, Refused, code


def prepare(connection: Connection, schema: str) -> None:
    """Create the schema if it does not exist. Raises Refused if the database or the role does not allow migrations."""
    database, role, encoding = connection.execute(
        text("SELECT current_database(), current_user, current_setting('server_encoding')")
    ).one()
    if encoding != "UTF8":
        raise Refused(
            f'the database "{database}" stores text as {encoding}, which cannot hold every job: '
            "make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )
    if not _is_there(connection, schema):
        _create(connection, schema, database, role)
    may = "SELECT has_schema_privilege(:schema, 'USAGE') AND has_schema_privilege(:schema, 'CREATE')"
    if not connection.execute(text(may), {"schema": schema}).scalar():
        raise Refused(
            f'the role "{role}" may not make tables in the schema "{schema}": '
            f'as an administrator, GRANT USAGE, CREATE ON SCHEMA "{schema}" TO "{role}"'
        )


def holds_longrun(connection: Connection, schema: str) -> bool:
    """Whether the schema contains the tables of some version of Longrun."""
    tables = ("jobs", "job_events", "workers", "queues", "keeper_lease")
    found = text("SELECT count(*) FROM pg_tables WHERE schemaname = :schema AND tablename = ANY(:tables)")
    return connection.execute(found, {"schema": schema, "tables": list(tables)}).scalar() == len(tables)


def _is_there(connection: Connection, schema: str) -> bool:
    found = text("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = :schema)")
    return bool(connection.execute(found, {"schema": schema}).scalar())


def _create(connection: Connection, schema: str, database: str, role: str) -> None:
    try:
        connection.execute(text(f'CREATE SCHEMA "{schema}"'))
    except ProgrammingError as error:
        if code(error) != NO_RIGHT:
            raise
        raise Refused(
            f'the role "{role}" may not make the schema "{schema}" in the database "{database}": '
            f'as an administrator, CREATE SCHEMA "{schema}" AUTHORIZATION "{role}" '
            f'(or GRANT CREATE ON DATABASE "{database}" TO "{role}")'
        ) from error
