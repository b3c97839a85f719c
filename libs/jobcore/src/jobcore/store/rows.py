"""Rows read as values: the list of columns is made from the names of the fields, so the two cannot differ.

A value is a dataclass or, where every job passes, a named tuple: a frozen dataclass sets each field by a call.

Reading a column of a row by name costs ten times as much as by position, which counts where every job passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from sqlalchemy import Row

from jobcore.store.json_text import field_names

T = TypeVar("T")


class Rows(Generic[T]):
    """Reads values of a dataclass or a named tuple from the rows of a statement that selects `columns` first.

    `convert` has functions by field, for columns that PostgreSQL returns in another form than the field has.
    """

    def __init__(self, kind: type[T], **convert: Callable[[Any], Any]) -> None:
        names = field_names(kind)
        self.columns = ", ".join(names)
        self._kind = kind
        self._count = len(names)
        self._convert = [(names.index(name), function) for name, function in convert.items()]

    def read(self, rows: Iterable[Row[Any]]) -> list[T]:
        """One value for each row; columns after `columns` are ignored."""
        return [self._value(row) for row in rows]

    def _value(self, row: Row[Any]) -> T:
        values = list(row[: self._count])
        for index, function in self._convert:
            values[index] = function(values[index])
        return self._kind(*values)
