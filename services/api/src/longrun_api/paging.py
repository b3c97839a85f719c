"""Pages that are limited by both their number of items and their bytes, and read in slices.

Neither a page nor the memory for it grows with the size of the tasks. Only a page of one item may exceed the limit of
bytes, because a page has at least one item.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from fastapi import Response

RowT = TypeVar("RowT")

MAX_BYTES: Final = 4 * 1024 * 1024
SLICE: Final = 50
"""Rows of the first slice; most pages need no second one."""

Fetch = Callable[[RowT | None, int], Awaitable[list[tuple[RowT, bytes]]]]
"""Returns at most a number of rows after a given one (None: from the start of the page), each with its JSON."""


@dataclass(frozen=True, slots=True)
class Page(Generic[RowT]):
    """The JSON of the items, the row of the last item, and whether more follow."""

    items: list[bytes]
    last: RowT | None
    has_more: bool

    def response(self, headers: Mapping[str, str] | None = None, **members: Any) -> Response:
        """The page as a response: its items, then these members."""
        rest = json.dumps(members)[1:]
        body = b'{"items":[' + b",".join(self.items) + b"]," + rest.encode()
        return Response(body, headers=headers, media_type="application/json")


class Filling(Generic[RowT]):
    """A page of at most `limit` items and about `max_bytes` bytes that is being read, and the last row it took."""

    def __init__(self, limit: int, max_bytes: int = MAX_BYTES, slice_rows: int = SLICE) -> None:
        self.last: RowT | None = None
        self._limit = limit
        self._max_bytes = max_bytes
        self._slice_rows = slice_rows
        self._items: list[bytes] = []
        self._size = 0

    @property
    def is_full(self) -> bool:
        """Whether it has `limit` items."""
        return len(self._items) == self._limit

    @property
    def wanted(self) -> int:
        """How many rows to read next: as many as fit, if the rest are as long as those so far."""
        taken = len(self._items)
        fitting = (self._max_bytes - self._size) * taken // max(self._size, 1)
        return min(self._limit - taken, max(fitting, 1) if taken else self._slice_rows)

    def take(self, rows: Iterable[tuple[RowT, bytes]]) -> bool:
        """Take rows, each with its JSON, until one does not fit; False if one did not."""
        for row, text in rows:
            if self._items and self._size + len(text) > self._max_bytes:
                return False
            self._items.append(text)
            self._size += len(text)
            self.last = row
        return True

    def page(self, *, has_more: bool) -> Page[RowT]:
        """The page as it is now."""
        return Page(self._items, self.last, has_more)


async def read(fetch: Fetch[RowT], limit: int, slice_rows: int = SLICE, max_bytes: int = MAX_BYTES) -> Page[RowT]:
    """Read a page of at most `limit` items and about `max_bytes` bytes."""
    filling: Filling[RowT] = Filling(limit, max_bytes, slice_rows)
    has_more = True
    while has_more and not filling.is_full:
        wanted = filling.wanted
        found = await fetch(filling.last, wanted + 1)
        if not filling.take(found[:wanted]):
            return filling.page(has_more=True)
        has_more = len(found) > wanted
    return filling.page(has_more=has_more)
