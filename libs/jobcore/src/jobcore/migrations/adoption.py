"""The move of a database of version 0.1, whose tables were in `public` beside those of other applications.

Moving a table to another schema changes one row of a catalogue, so the move takes no longer than getting the locks. It
is one transaction. Processes of 0.1 that keep running find each table under its name before and after: after the move
there is a view in `public`, which reads and writes like the table. `contract` drops these views.

Tables in `public` are Longrun's only if `public.alembic_version` names a revision of 0.1 and every table of that
revision is there. Everything else in `public` is left as it is.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

from jobcore.migrations.refusals import Refused

ADDED: Final = {
    "0001": ("jobs", "job_events", "workers", "queues", "keeper_lease"),
    "0002": ("key_limits",),
    "0003": ("job_steps",),
    "0004": ("schedules",),
    "0005": ("fair_turns",),
}
"""The tables that each revision of 0.1 added."""
FINGERPRINT: Final = {"rank", "fence", "ready", "last_seq", "cancel_stopped_at"}
"""Columns that tell Longrun's table `jobs` from that of another application."""
COMMENT: Final = "Longrun: for processes of 0.1, see docs/operations.md"

SHARE: Final = """
DO $$
DECLARE granted record;
BEGIN
    -- roles with rights to a table get them in the new schema, and to the view in the old one
    FOR granted IN
        SELECT relname, privilege_type, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(rolname) END AS role
        FROM pg_class CROSS JOIN aclexplode(relacl) LEFT JOIN pg_roles ON pg_roles.oid = grantee
        WHERE relnamespace = '"{schema}"'::regnamespace AND relkind = 'r' AND grantee <> relowner
          AND privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
    LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA "{schema}" TO %s', granted.role);
        IF to_regclass(format('public.%I', granted.relname)) IS NOT NULL THEN
            EXECUTE format('GRANT %s ON public.%I TO %s', granted.privilege_type, granted.relname, granted.role);
        END IF;
    END LOOP;
END $$
"""


def adopt(connection: Connection, schema: str) -> None:
    """Move Longrun's tables from `public`, if they are there and the schema has none yet."""
    if _is_table(connection, schema, "alembic_version") or not _looks_like_jobs(connection):
        return
    revision = _revision(connection)
    tables = _tables_at(revision)
    everything = ", ".join(f"public.{name}" for name in (*tables, "alembic_version"))
    connection.execute(text(f"LOCK TABLE {everything} IN ACCESS EXCLUSIVE MODE"))
    for name in tables:
        connection.execute(text(f'ALTER TABLE public.{name} SET SCHEMA "{schema}"'))
    alone = _move_version(connection, schema, revision)
    for name in (*tables, "alembic_version") if alone else tables:
        connection.execute(text(f'CREATE VIEW public.{name} AS SELECT * FROM "{schema}".{name}'))
        connection.execute(text(f"COMMENT ON VIEW public.{name} IS '{COMMENT}'"))
    connection.execute(text(SHARE.format(schema=schema).replace(":", "\\:")))
    print(f'longrun: moved the tables of 0.1 from the schema "public" to "{schema}"', flush=True)


def contract(connection: Connection, _schema: str) -> None:
    """Drop the views in `public`, which only processes of 0.1 use."""
    views = text(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'v' "
        "AND obj_description(oid, 'pg_class') = :comment ORDER BY relname"
    )
    for name in connection.execute(views, {"comment": COMMENT}).scalars().all():
        connection.execute(text(f"DROP VIEW public.{name}"))


def _looks_like_jobs(connection: Connection) -> bool:
    columns = text(
        "SELECT attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
        "WHERE relnamespace = to_regnamespace('public') AND relname = 'jobs' AND relkind = 'r' AND attnum > 0"
    )
    return set(connection.execute(columns).scalars()) >= FINGERPRINT


def _revision(connection: Connection) -> str:
    """The revision of 0.1 of the tables in `public`. Raises Refused if it is unknown."""
    noted = set[str]()
    if _is_table(connection, "public", "alembic_version"):
        noted = set(connection.execute(text("SELECT version_num FROM public.alembic_version")).scalars())
    for revision in sorted(noted & ADDED.keys(), reverse=True):
        if all(_is_table(connection, "public", name) for name in _tables_at(revision)):
            return revision
    raise Refused(
        'the schema "public" holds the tables of Longrun 0.1, but public.alembic_version does not say of which '
        f"revision ({', '.join(sorted(noted)) or 'it is empty'}): insert the one they had, {max(ADDED)} for the last"
    )


def _tables_at(revision: str) -> list[str]:
    return [name for added, names in ADDED.items() if added <= revision for name in names]


def _move_version(connection: Connection, schema: str, revision: str) -> bool:
    """Move the row with the version; returns whether it was the only row of its table."""
    ours = {"revision": revision}
    others = "SELECT count(*) FROM public.alembic_version WHERE version_num <> :revision"
    if not connection.execute(text(others), ours).scalar():
        connection.execute(text(f'ALTER TABLE public.alembic_version SET SCHEMA "{schema}"'))
        return True
    connection.execute(text(f'CREATE TABLE "{schema}".alembic_version (LIKE public.alembic_version INCLUDING ALL)'))
    connection.execute(text(f'INSERT INTO "{schema}".alembic_version VALUES (:revision)'), ours)
    connection.execute(text("DELETE FROM public.alembic_version WHERE version_num = :revision"), ours)
    return False


def _is_table(connection: Connection, schema: str, name: str) -> bool:
    found = text("SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = :schema AND tablename = :name)")
    return bool(connection.execute(found, {"schema": schema, "name": name}).scalar())
