"""Faults that a long-lived thread meets in its next statement, though PostgreSQL itself is well."""

from __future__ import annotations

import random
import time

from tests.chaos.deployment import Deployment
from tests.chaos.kinds import POSTGRES, Strike, fault

BRIEF = (0.5, 3.0)
OF_THREADS = ("workers", "keeper_lease", "schedules")
"""Tables to which no request of the load writes."""
TABLES = ("jobs", "job_events", "job_steps", "queues", "key_limits", "fair_turns", *OF_THREADS)
REFUSE = """
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused by an operator'; END $$;
CREATE TRIGGER refused BEFORE INSERT OR UPDATE OR DELETE ON {table} EXECUTE FUNCTION public.refuse()
"""
ACCEPT = "DROP FUNCTION public.refuse() CASCADE"
PATIENTLY = "SET LOCAL lock_timeout = '5s'; "


@fault(POSTGRES, BRIEF)
def table_renamed(strike: Strike) -> None:
    """A table is renamed and gets its name back."""
    table = random.Random(strike.seed).choice(TABLES)
    _alter(strike.deployment, f"ALTER TABLE {table} RENAME TO {table}_away")
    try:
        time.sleep(strike.seconds)
    finally:
        _alter(strike.deployment, f"ALTER TABLE {table}_away RENAME TO {table}")


@fault(POSTGRES, BRIEF)
def statements_refused(strike: Strike) -> None:
    """Every write to a table is refused with an error that is no outage (a trigger's)."""
    table = random.Random(strike.seed).choice(OF_THREADS)
    _alter(strike.deployment, REFUSE.format(table=table))
    try:
        time.sleep(strike.seconds)
    finally:
        _alter(strike.deployment, ACCEPT)


def _alter(deployment: Deployment, statement: str) -> None:
    deployment.sql(PATIENTLY + statement.replace("%", "%%"))
