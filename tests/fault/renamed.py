"""A table that is away for a while, under another name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.harness import Harness


@contextmanager
def renamed(longrun: Harness, table: str) -> Iterator[None]:
    """The table is away, for everybody."""
    longrun.sql(f"ALTER TABLE {table} RENAME TO elsewhere")
    try:
        yield
    finally:
        longrun.sql(f"ALTER TABLE elsewhere RENAME TO {table}")
