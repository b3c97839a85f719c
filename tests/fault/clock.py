"""Clocks that a test can step: the database's, by a `now()` that comes before PostgreSQL's own, and a process's."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path

from tests.harness import sql

INSTALL = """
CREATE TABLE clock_step (seconds double precision NOT NULL);
INSERT INTO clock_step VALUES (0);
CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE AS
    'SELECT pg_catalog.now() + make_interval(secs => (SELECT seconds FROM public.clock_step))';
DO $$
DECLARE aged record;
BEGIN
    FOR aged IN SELECT table_name, column_name FROM information_schema.columns
                WHERE table_schema = 'public' AND column_default = 'now()' LOOP
        EXECUTE format('ALTER TABLE %%I ALTER COLUMN %%I SET DEFAULT public.now()', aged.table_name, aged.column_name);
    END LOOP;
    EXECUTE format('ALTER DATABASE %%I SET search_path = public, pg_catalog', current_database());
END $$
"""


def let_database_clock_be_stepped(database_url: str) -> None:
    """To be done before the first process connects."""
    sql(database_url, INSTALL)


def step_database_clock(database_url: str, seconds: float) -> None:
    """From now on `now()` is so many seconds off (not: further off)."""
    sql(database_url, "UPDATE clock_step SET seconds = %s", seconds)


class Hooks:
    """What `tests/fault/hooks` tells a Python process that was started `within` its environment."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "hooks.bin"
        self._write(0.0, False)
        self._own = str(Path(__file__).parent / "hooks")

    def within(self, env: Mapping[str, str]) -> dict[str, str]:
        """This environment, for a process that is to be lied to."""
        python_path = os.pathsep.join([self._own, env.get("PYTHONPATH", "")])
        return {**env, "PYTHONPATH": python_path, "LONGRUN_TEST_HOOKS": str(self._path)}

    def step_clock(self, seconds: float) -> None:
        """`time.time()` is so many seconds off from now on."""
        self._write(seconds, False)

    def refuse_forks(self, refuse: bool) -> None:
        """`os.fork()` fails with EAGAIN from now on, as with RLIMIT_NPROC or a full pid cgroup; or works again."""
        self._write(0.0, refuse)

    def _write(self, seconds: float, refuse_forks: bool) -> None:
        with self._path.open("r+b" if self._path.exists() else "w+b") as file:
            file.write(struct.pack("dd", seconds, float(refuse_forks)))
