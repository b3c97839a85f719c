"""`python -m tests.schema_page > docs/schema.sql`: the schema that all migrations make, on an embedded PostgreSQL."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from jobcore.migrations import upgrade
from jobcore.settings import DEFAULT_SCHEMA
from longrun_local.postgres import EmbeddedPostgres

HEAD = """-- The schema of this version, as pg_dump shows it: migrations make it, and nothing ever runs this file.
-- It is made by `python -m tests.schema_page`; a test compares it with the migrations.

"""
NOISE = re.compile(r"^(--|SET |SELECT pg_catalog\.set_config|\\(un)?restrict ).*\n", re.MULTILINE)
"""What a dump says for psql and not for readers."""


def page() -> str:
    """The whole file."""
    with tempfile.TemporaryDirectory(prefix="longrun-schema-") as folder:
        Path(folder).chmod(0o711)  # the server may run as another user
        with EmbeddedPostgres(Path(folder) / "postgres", settings={"fsync": "off"}) as server:
            upgrade(server.url)
            return HEAD + readable(_dump(server))


def readable(dump: str) -> str:
    """The statements of a dump, one blank line between them."""
    statements = NOISE.sub("", dump).strip()
    return re.sub(r"\n{2,}", "\n\n", statements) + "\n"


def _dump(server: EmbeddedPostgres) -> str:
    program = str(server.programs() / "pg_dump")
    options = ["--schema-only", "--no-owner", "--no-privileges", f"--schema={DEFAULT_SCHEMA}"]
    command = [program, *options, f"--exclude-table={DEFAULT_SCHEMA}.alembic_version", server.url]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    print(page(), end="")
