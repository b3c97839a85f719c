"""Transitions that a statement made, returned as `Change` values.

A statement that changes the status of jobs has a CTE named `changed` with one row for each job, and ends with
`SELECT_CHANGES`. The columns of `changed` are those of `Change`, except `limited`, and with `last_seq` for `seq`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import CursorResult, Row

from jobcore.models import Change
from jobcore.states import Status
from jobcore.store.rows import Rows

_CHANGES: Final = Rows(Change, status=Status)

CHANGES: Final = """
(SELECT *, last_seq AS seq, (SELECT max_running IS NOT NULL FROM queues WHERE name = queue) AS limited FROM changed)
"""
COLUMNS: Final = ", ".join(f"change.{name}" for name in Change._fields)
SELECT_CHANGES: Final = f"SELECT {_CHANGES.columns} FROM {CHANGES} AS change"


def read(result: CursorResult[Any]) -> list[Change]:
    """The transitions of a statement that ended with `SELECT_CHANGES`."""
    return of_rows(result.all())


def of_rows(rows: Iterable[Row[Any]]) -> list[Change]:
    """The transitions of rows that begin with `COLUMNS`."""
    return _CHANGES.read(rows)
