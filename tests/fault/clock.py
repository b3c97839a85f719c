"""Clocks that a test can step: the database's, by a `now()` in place of PostgreSQL's own, and a process's."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path

from tests.harness import sql

WORD = 8
INSTALL = """
CREATE SCHEMA clock;
CREATE TABLE clock.step (seconds double precision NOT NULL);
INSERT INTO clock.step VALUES (0);
ALTER FUNCTION pg_catalog.now() RENAME TO now_of_the_host;
CREATE FUNCTION pg_catalog.now() RETURNS timestamptz LANGUAGE sql STABLE AS
    'SELECT now_of_the_host() + make_interval(secs => (SELECT seconds FROM clock.step))';
DO $$
DECLARE aged record;
BEGIN
    FOR aged IN SELECT attrelid, attname FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
                WHERE pg_get_expr(adbin, adrelid) = 'now_of_the_host()' LOOP
        EXECUTE format('ALTER TABLE %%s ALTER COLUMN %%I SET DEFAULT now()', aged.attrelid::regclass, aged.attname);
    END LOOP;
END $$
"""


def let_database_clock_be_stepped(database_url: str) -> None:
    """To be done before the first process connects."""
    sql(database_url, INSTALL)


def step_database_clock(database_url: str, seconds: float) -> None:
    """From now on `now()` is so many seconds off (not: further off)."""
    sql(database_url, "UPDATE clock.step SET seconds = %s", seconds)


class Hooks:
    """What `tests/fault/hooks` tells a Python process that was started `within` its environment."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "hooks.bin"
        self._path.write_bytes(bytes(4 * WORD))
        self._own = str(Path(__file__).parent / "hooks")

    def within(self, env: Mapping[str, str]) -> dict[str, str]:
        """This environment, for a process that is to be lied to."""
        python_path = os.pathsep.join([self._own, env.get("PYTHONPATH", "")])
        return {**env, "PYTHONPATH": python_path, "LONGRUN_TEST_HOOKS": str(self._path)}

    def step_clock(self, seconds: float) -> None:
        """`time.time()` is so many seconds off from now on."""
        self._write(0, seconds)

    def refuse_forks(self, refuse: bool) -> None:
        """`os.fork()` fails with EAGAIN from now on, as with RLIMIT_NPROC or a full pid cgroup; or works again."""
        self._write(1, float(refuse))

    def refused_forks(self) -> int:
        """How often a process wanted to fork and could not."""
        return int(self._read(3))

    def suspended(self, seconds: float) -> None:
        """Its host was suspended for so long just now: `time.monotonic()` stood still; the process was stopped."""
        self._write(2, self._read(2) + seconds)

    def _read(self, word: int) -> float:
        (value,) = struct.unpack_from("d", self._path.read_bytes(), word * WORD)
        return float(value)

    def _write(self, word: int, value: float) -> None:
        with self._path.open("r+b") as file:
            file.seek(word * WORD)
            file.write(struct.pack("d", value))
