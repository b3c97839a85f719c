"""Replaces the superuser of an earlier chart or docker-compose.yml by a role that only owns its database.

Those servers had one role, the one that `initdb` made. PostgreSQL never takes the superuser's rights from that role. So
it gets another name and loses its password, and a new role gets its old name, its password and the objects that it
owns. All of this is one transaction: new connections find either role, and open sessions continue.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

BOOTSTRAP_OID: Final = 10
"""The role that `initdb` made (BOOTSTRAP_SUPERUSERID)."""
NAMES: Final = ("postgres", "longrun_superuser")
"""The new name of the superuser: the first of these that is free."""
FIRST_OID: Final = 16384
"""Objects with a lower id belong to PostgreSQL itself (FirstNormalObjectId)."""

ROLE: Final = """
SELECT rolname AS name, quote_ident(rolname) AS quoted, quote_ident(current_database()) AS database,
    quote_nullable(rolpassword) AS verifier
FROM pg_authid
WHERE rolname = current_user AND oid = :bootstrap
"""
FREE: Final = """
SELECT name FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS given (name, position)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) ORDER BY position LIMIT 1
"""
OBJECTS: Final = """
WITH ours AS (
    SELECT 'pg_namespace'::regclass AS catalogue, oid, 'SCHEMA' AS kind FROM pg_namespace WHERE nspowner = :bootstrap
    UNION ALL
    SELECT 'pg_class'::regclass, oid, CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
        WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END
    FROM pg_class WHERE relowner = :bootstrap AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    UNION ALL
    SELECT 'pg_proc'::regclass, oid, CASE prokind WHEN 'a' THEN 'AGGREGATE' ELSE 'ROUTINE' END
    FROM pg_proc WHERE proowner = :bootstrap
    UNION ALL
    SELECT 'pg_type'::regclass, oid, 'TYPE' FROM pg_type WHERE typowner = :bootstrap AND typtype IN ('e', 'd', 'r')
)
SELECT kind, (pg_identify_object(catalogue, oid, 0)).identity FROM ours
WHERE oid >= :first AND NOT EXISTS (
    -- objects of a column or an extension change their owner together with it
    SELECT FROM pg_depend WHERE classid = catalogue AND objid = ours.oid AND deptype IN ('a', 'i', 'e')
        AND (deptype = 'e' OR refclassid = 'pg_class'::regclass)
)
"""


def shed(connection: Connection, _schema: str) -> None:
    """Take the superuser's rights from the role of this connection, if it has them."""
    if not connection.execute(text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")).scalar():
        return
    role = connection.execute(text(ROLE), {"bootstrap": BOOTSTRAP_OID}).one_or_none()
    superuser = connection.execute(text(FREE), {"names": list(NAMES)}).scalar()
    if role is None or superuser is None or role.name in NAMES:
        print("longrun: the role in DATABASE_URL stays a superuser: it is not an earlier chart's", flush=True)
        return
    given = {"bootstrap": BOOTSTRAP_OID, "first": FIRST_OID}
    objects = connection.execute(text(OBJECTS), given).all()
    for statement in (
        "SET LOCAL log_statement = 'none'",
        "CREATE ROLE longrun_handover SUPERUSER",
        # a session cannot rename its own role
        "SET LOCAL SESSION AUTHORIZATION longrun_handover",
        f"ALTER ROLE {role.quoted} RENAME TO {superuser}",
        f"ALTER ROLE {superuser} PASSWORD NULL",
        f"CREATE ROLE {role.quoted} LOGIN PASSWORD {role.verifier}",
        f"ALTER DATABASE {role.database} OWNER TO {role.quoted}",
        *(f"ALTER {kind} {identity} OWNER TO {role.quoted}" for kind, identity in objects),
        "RESET SESSION AUTHORIZATION",
        "DROP ROLE longrun_handover",
    ):
        connection.exec_driver_sql(statement.replace("%", "%%"))
    print(f'longrun: "{role.name}" is no superuser any more; that is "{superuser}", without a password', flush=True)
