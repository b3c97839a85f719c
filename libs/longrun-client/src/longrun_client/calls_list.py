"""Calls of the API that list tasks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from longrun_client.calls import PAGE_SIZE, Call, time_text
from longrun_client.models import Page, Task
from longrun_client.models_counts import TaskCounts
from longrun_client.options import FilterOptions, ListOptions

NEEDED: Final = frozenset(name for name, field in Task.model_fields.items() if field.is_required())


def page(limit: int, cursor: str | None, options: ListOptions) -> Call[Page]:
    """GET /tasks: one page; raises ValueError for a time without a time zone."""
    given = {**options, "fields": _fields(options.get("fields")), "limit": limit, "cursor": cursor}
    return Call("GET", "/tasks", Page.model_validate, params=params(given))


def count(options: FilterOptions) -> Call[TaskCounts]:
    """GET /tasks:count; raises ValueError for a time without a time zone."""
    return Call("GET", "/tasks:count", TaskCounts.model_validate, params=params(options))


def params(options: Mapping[str, Any]) -> dict[str, str | int | Sequence[str]]:
    """The parameters of a query, without those that are not given."""
    given = {name: _param(name, value) for name, value in options.items()}
    return {name: value for name, value in given.items() if value}


class Pages:
    """An iteration over the pages of GET /tasks, up to `limit` tasks (None: all)."""

    def __init__(self, limit: int | None, options: ListOptions) -> None:
        self._options = options
        self._left = limit
        self._cursor: str | None = None
        self._last = False

    @property
    def more(self) -> bool:
        """Whether another page is needed."""
        return not self._last and (self._left is None or self._left > 0)

    def call(self) -> Call[Page]:
        """The call for the next page."""
        size = PAGE_SIZE if self._left is None else min(PAGE_SIZE, self._left)
        return page(size, self._cursor, self._options)

    def take(self, page: Page) -> tuple[Task, ...]:
        """Return the tasks of this page and advance to the next."""
        self._cursor, self._last = page.next, page.next is None
        self._left = None if self._left is None else self._left - len(page.items)
        return page.items


def _fields(names: Sequence[str] | None) -> str | None:
    return ",".join(sorted(NEEDED.union(names))) if names else None


def _param(name: str, value: Any) -> str | int | Sequence[str] | None:
    if isinstance(value, datetime):
        return time_text(name, value)
    if isinstance(value, Mapping):
        return json.dumps(value)
    return value if value is None or isinstance(value, str | int) else [str(each) for each in value]
