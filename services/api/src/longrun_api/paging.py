"""Pages that are limited by both their number of items and their bytes, and read in slices.

Neither a page nor the memory for it grows with the size of the tasks. Only a page of one item may exceed the limit of
bytes, because a page has at least one item.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
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


async def read(fetch: Fetch[RowT], limit: int, slice_rows: int = SLICE, max_bytes: int = MAX_BYTES) -> Page[RowT]:
    """Read a page of at most `limit` items and about `max_bytes` bytes."""
    items: list[bytes] = []
    size = 0
    last: RowT | None = None
    has_more = True
    while has_more and len(items) < limit:
        fitting = (max_bytes - size) * len(items) // max(size, 1)
        wanted = min(limit - len(items), max(fitting, 1) if items else slice_rows)
        found = await fetch(last, wanted + 1)
        has_more = len(found) > wanted
        for row, text in found[:wanted]:
            if items and size + len(text) > max_bytes:
                return Page(items, last, has_more=True)
            items.append(text)
            size += len(text)
            last = row
    return Page(items, last, has_more)
