"""The states that operators have a database in: who owns it, what else is in it, what a role is configured with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from longrun_local.ports import free_port
from tests.servers import execute

OTHERS = """
CREATE TABLE public.alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO public.alembic_version VALUES ('0005');
CREATE TABLE public.jobs (id serial PRIMARY KEY, title text);
CREATE TABLE public.queues (name text);
CREATE TABLE public.workers (name text);
CREATE VIEW public.job_events AS SELECT 1 AS one;
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC
"""

HOSTILE = (
    *("search_path = ''", "default_transaction_isolation = serializable", "default_transaction_deferrable = on"),
    *("statement_timeout = '3s'", "lock_timeout = '1s'", "idle_in_transaction_session_timeout = '2s'"),
    *("idle_session_timeout = '700ms'", "default_tablespace = pg_default", "plpgsql.extra_errors = 'all'"),
    *("timezone = 'Pacific/Chatham'", "datestyle = 'SQL, DMY'", "intervalstyle = postgres_verbose"),
    *("bytea_output = escape", "extra_float_digits = -15", "client_encoding = 'LATIN1'", "lc_numeric = 'C'"),
    *("standard_conforming_strings = off", "backslash_quote = off", "transform_null_equals = on"),
    *("array_nulls = off", "quote_all_identifiers = on", "xmloption = document", "row_security = off"),
    *(f"enable_{plan} = off" for plan in ("seqscan", "indexscan", "indexonlyscan", "bitmapscan", "nestloop")),
    *(f"enable_{plan} = off" for plan in ("hashjoin", "mergejoin", "sort", "hashagg", "material", "memoize")),
    *("jit = on", "jit_above_cost = 0", "jit_inline_above_cost = 0", "jit_optimize_above_cost = 0"),
    *(
        "plan_cache_mode = force_custom_plan",
        "synchronous_commit = off",
        "work_mem = '64kB'",
        "from_collapse_limit = 1",
    ),
    *("client_min_messages = error", "geqo_threshold = 2", "join_collapse_limit = 1", "constraint_exclusion = on"),
)


@dataclass
class Made:
    """A database and how Longrun's processes reach it."""

    admin_url: str
    role: str
    port: int
    folder: Path
    host: str = "127.0.0.1"
    options: str = ""
    pooled: bool = False

    @property
    def url(self) -> str:
        """DATABASE_URL of Longrun's processes."""
        place = ",".join(f"{host}" if ":" in host else f"{host}:{self.port}" for host in self.host.split(","))
        return f"postgresql://{self.role}:secret@{place}/{self.role}{self.options}"


def owner(made: Made) -> None:
    """A role that owns the database and may make nothing in `public`."""
    execute(made.admin_url, f"ALTER DATABASE {made.role} OWNER TO {made.role}")
    execute(made.admin_url, "REVOKE ALL ON SCHEMA public FROM PUBLIC, pg_database_owner")


def guest(made: Made) -> None:
    """A role that owns nothing but a schema which an administrator made for it."""
    execute(made.admin_url, f"REVOKE ALL ON DATABASE {made.role} FROM PUBLIC")
    execute(made.admin_url, f"GRANT CONNECT ON DATABASE {made.role} TO {made.role}")
    execute(made.admin_url, f"CREATE SCHEMA longrun AUTHORIZATION {made.role}")


def beside_another_application(made: Made) -> None:
    """Tables of the same names, and another Alembic history, in `public`."""
    owner(made)
    execute(made.admin_url, OTHERS)


def hostile(made: Made) -> None:
    """A role whose every session begins with settings that no application expects."""
    owner(made)
    for setting in HOSTILE:
        execute(made.admin_url, f"ALTER ROLE {made.role} SET {setting}")


def pooled(made: Made) -> None:
    """PgBouncer in transaction mode in front."""
    owner(made)
    made.pooled = True


def pooled_and_hostile(made: Made) -> None:
    """PgBouncer in front of a role with hostile settings."""
    hostile(made)
    made.pooled = True


def encrypted(made: Made) -> None:
    """TLS, with the server's certificate verified."""
    owner(made)
    made.options = f"?sslmode=verify-full&sslrootcert={quote(str(made.folder / 'stock-postgres/ca.crt'), safe='')}"


def second_of_two_hosts(made: Made) -> None:
    """A cluster of which the first host is away."""
    owner(made)
    made.host = f"127.0.0.1:{free_port()},127.0.0.1"
    made.options = "?target_session_attrs=read-write"


def by_socket(made: Made) -> None:
    """A Unix socket."""
    owner(made)
    made.host = quote(str(made.folder / "sockets"), safe="")


FLAVOURS: dict[str, Callable[[Made], None]] = {
    flavour.__name__: flavour
    for flavour in (
        owner,
        guest,
        beside_another_application,
        hostile,
        pooled,
        pooled_and_hostile,
        encrypted,
        second_of_two_hosts,
        by_socket,
    )
}
